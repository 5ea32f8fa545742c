import { once } from 'node:events'
import { join } from 'node:path'
import type { Config } from '#config'
import { verifySignature } from '#postbacks'
import { demoConfiguration, demoTargets, type DemoSecrets } from './demo-configuration.ts'
import { keepDemoSecrets } from './demo-secrets.ts'
import { startDemoSites, type DemoSites, type VerifySignature } from './demo-sites.ts'
import { findInstallation, type RunningInstallation } from './running-installation.ts'
import { createSeededRandom } from './seeded-random.ts'
import { describeResults } from './describe-results.ts'
import { startTraffic, type Traffic } from './traffic.ts'
import { createVisits } from './visits.ts'
import { defaultCityFile, pickWorldAddresses } from './world-addresses.ts'

export type DemoOptions = {
  readonly seconds: number
  readonly clicksPerSecond: number
  /** The same seed sends the same visitors. */
  readonly seed: number
  /** Port of the landing pages and the receiver on the loopback address; 0: any free one. */
  readonly port: number
  /** Keeps landing pages and receiver until Ctrl-C, to be looked at. */
  readonly keepsRunning: boolean
  readonly say: (line: string) => void
  /** Aborted by Ctrl-C. */
  readonly stopSignal: AbortSignal
}

/** Shows everything at work within a minute: an advertiser with landing pages of ours, offers of every pricing model,
 * affiliates, visitors from all over the world who click, register and pay, partners who are told and check the signatures.
 *
 * Needs a running Waypost on the same data directory and ports, and says so where there is none. Its configuration stays, with
 * the endpoints paused once their receiver has gone; a second demo changes nothing but them.
 * @returns exit code: 0 all was right; 1 nothing runs, or something that the demo checks was not as it must be
 */
export async function runDemo(config: Config, options: DemoOptions): Promise<number> {
  const { say, stopSignal } = options
  const found = await findInstallation(config)
  if (found.kind === 'absent') {
    say(`${found.why}\nStart it with \`npm start\` in another terminal, then run this again.`)
    return 1
  }
  const { installation } = found
  const secrets = keepDemoSecrets(join(config.dataDir, 'demo.json'))
  const { edgeUrl } = installation
  const sites = await startDemoSites({ port: options.port, edgeUrl, verifySignature: signatureCheck(secrets) })
  const configure = (endpoints: 'active' | 'paused'): Promise<unknown> =>
    installation.apply(demoConfiguration({ sitesUrl: sites.url }, secrets, endpoints))
  try {
    await configure('active')
    say(describeScene(sites))
    await untilRedirected(installation, sites, stopSignal)
    const traffic = await sendTraffic(installation, sites, options, secrets)
    const results = await describeResults(installation, sites, traffic)
    say(results.text)
    if (options.keepsRunning && !stopSignal.aborted) {
      say(
        `\nLanding pages and receiver stay until Ctrl-C. Try ${edgeUrl}/spring in your browser, then ${sites.url}/receiver`,
      )
      await once(stopSignal, 'abort')
    }
    return results.isRight ? 0 : 1
  } finally {
    await configure('paused')
    await sites.stop()
  }
}

/** What every partner of the demo does with what it gets, with the function that docs/states/delivery.md gives to receivers. */
function signatureCheck(secrets: DemoSecrets): VerifySignature {
  const secretOf: Readonly<Record<string, string>> = { tracker: secrets.tracker, affiliate: secrets.affiliate }
  return ({ receiver, method, target, headers, body }) => {
    const secret = secretOf[receiver]
    if (secret === undefined) return false
    const request = { method, requestTarget: target, headers, body: Buffer.from(body) }
    return verifySignature(request, secret, Date.now()).kind === 'valid'
  }
}

const describeScene = (sites: DemoSites): string =>
  [
    'The demo advertiser "Lumen" has four offers (CPA, CPL, CPS, RevShare), four affiliates, two campaigns and two partners who',
    `want to be told. Its landing pages and the partners' receivers are at ${sites.url}`,
    '',
  ].join('\n')

const REDIRECT_MS_MAX = 15_000
const LOOK_EVERY_MS = 100

/** Waits until the edge has the new configuration. A HEAD request is no click. */
async function untilRedirected(
  { edgeUrl }: RunningInstallation,
  sites: DemoSites,
  stopSignal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + REDIRECT_MS_MAX
  while (!stopSignal.aborted) {
    const response = await fetch(`${edgeUrl}/vpn`, { method: 'HEAD', redirect: 'manual' })
    if (response.headers.get('location')?.startsWith(sites.url) === true) return
    if (performance.now() > deadline)
      throw new Error(
        `The edge at ${edgeUrl} does not take up the demo's configuration; does it use the same database?`,
      )
    await pause(LOOK_EVERY_MS)
  }
}

async function sendTraffic(
  { edgeUrl }: RunningInstallation,
  sites: DemoSites,
  options: DemoOptions,
  secrets: DemoSecrets,
): Promise<Traffic> {
  const random = createSeededRandom(options.seed)
  const addresses = await pickWorldAddresses(defaultCityFile(), random)
  options.say(
    `Visitors from ${addresses.size} countries, ${options.clicksPerSecond} a second for ${options.seconds} s:`,
  )
  const nextVisit = createVisits({ random, addresses, targets: demoTargets, subCount: 30, returningShare: 0.18 })
  const traffic = startTraffic({
    edgeUrl,
    sitesUrl: sites.url,
    random,
    nextVisit,
    clicksPerSecond: options.clicksPerSecond,
    inboundSecret: secrets.inbound,
  })
  for (let second = 1; second <= options.seconds && !options.stopSignal.aborted; second++) {
    await pause(1_000)
    options.say(liveLine(second, traffic, sites))
  }
  await traffic.stop()
  return traffic
}

function liveLine(second: number, traffic: Traffic, sites: DemoSites): string {
  const sent = traffic.counts()
  const { received, verified } = sites.counts()
  return (
    `  ${String(second).padStart(3)} s  ${sent.clicks} clicks (${sent.redirected_to_offer} to an offer), ${sent.events} events, ` +
    `${sent.postbacks} postbacks in (${sent.postbacks_refused} refused), ${received} out (${verified} verified)`
  )
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
