/** Several edge processes on one data directory, with the rest of the installation in a process of its own. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { signPostback } from '#edge'
import { send, type Answer } from '#edge/test-edge'
import { findFreePort } from '#platform/ports'
import { withDatabase, withTempDir } from '#test-kit'
import { eventually, startInstallation, type Installation } from './installation.ts'

const CLICKS_MAX = 600
const LEADS_MAX = 150
const SIGNING_SECRET = 'signing-secret-of-acme'
const CONFIGURATION = `
advertisers:
  acme: { domains: [shop.example.com] }
offers:
  lamp:
    advertiser_id: acme
    prices: [{ type: lead, payout: '1.00', revenue: '2.00' }]
    landing_url: https://shop.example.com/?clickid={clickid}
    postback: { hmac_secrets: [${SIGNING_SECRET}] }
    caps: [{ cap_id: clicks, metric: clicks, period: total, limit: ${CLICKS_MAX} }]
  desk:
    advertiser_id: acme
    prices: [{ type: lead, payout: '1.00', revenue: '2.00' }]
    landing_url: https://shop.example.com/?clickid={clickid}
    postback: { secrets: [secret-of-acme] }
    caps: [{ cap_id: leads, metric: conversions, period: total, limit: ${LEADS_MAX}, hold_minutes: 60 }]
links:
  lamp: { offer_id: lamp }
  desk: { offer_id: desk }
`

type Site = {
  readonly dataDir: string
  readonly main: Installation
  /** Starts an edge beside those that run. */
  readonly startEdge: (port: number, threads: number) => Promise<Installation>
}

async function startSite(t: TestContext): Promise<Site> {
  const started: Installation[] = []
  // Before the database's own hook, which can drop it only when nobody uses it.
  t.after(() => Promise.all(started.map((one) => one.stop('SIGKILL'))))
  const directory = withTempDir(t)
  const { url } = await withDatabase(t)
  const dataDir = join(directory, 'data')
  const start = async (
    role: string,
    options: { readonly edgePort?: number; readonly threads?: number },
  ): Promise<Installation> => {
    const { edgePort, threads = 1 } = options
    const installation = await startInstallation({
      dataDir,
      env: { DATABASE_URL: url, WAYPOST_EDGE_THREADS: String(threads) },
      args: ['--role', role],
      waitFor: role === 'edge' ? [] : ['api'],
      ...(edgePort !== undefined && { edgePort }),
    })
    started.push(installation)
    return installation
  }
  const main = await start('pipeline,delivery,api', {})
  const file = join(directory, 'waypost.yaml')
  writeFileSync(file, CONFIGURATION)
  const applied = await main.waypost('apply', file)
  assert.equal(applied.code, 0, applied.stderr)
  return {
    dataDir,
    main,
    startEdge: async (port, threads) => {
      const edge = await start('edge', { edgePort: port, threads })
      await eventually(
        async () => edge.output(),
        (output) => output.includes('listens on port'),
        30_000,
      )
      return edge
    },
  }
}

/** Sends clicks, each on a connection of its own, as many at a time as browsers would.
 * @returns the ids of those that were sent on, and how many connections broke
 */
async function sendClicks(
  port: number,
  link: string,
  count: number,
  onAnswer: (answered: number) => void = () => undefined,
): Promise<{ readonly clickIds: readonly string[]; readonly broken: number }> {
  const clickIds: string[] = []
  let [begun, answered, broken] = [0, 0, 0]
  const sendSome = async (): Promise<void> => {
    while (begun++ < count) {
      const answer = await send(port, `/${link}`).catch(() => undefined)
      if (answer === undefined) broken++
      else if (answer.status === 302) clickIds.push(new URL(answer.headers.location!).searchParams.get('clickid')!)
      else assert.equal(answer.status, 404, answer.body)
      onAnswer(++answered)
    }
  }
  await Promise.all(Array.from({ length: 16 }, sendSome))
  return { clickIds, broken }
}

/** Waits until a cap has counted and holds so much. */
const levels = ({ main }: Site, offerId: string, used: number, held: number): Promise<unknown> =>
  eventually(
    () => main.api<{ items: { used: string; held: string }[] }>(`/v1/caps?offer_id=${offerId}`),
    ({ items }) => items.some((row) => row.used === `${used}` && row.held === `${held}`),
    20_000,
  )

async function partitionsOf({ main }: Site): Promise<readonly string[]> {
  const { code, stdout, stderr } = await main.waypost('log', 'inspect')
  assert.equal(code, 0, stderr)
  return stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { partition: string }).partition)
}

const readText = async (url: string): Promise<string> => (await fetch(url)).text()

test('two edge processes admit exactly what caps have and lose nothing, through the kill of one and its restart', async (t) => {
  const site = await startSite(t)
  const port = await findFreePort()
  // Started together, as a supervisor does after the machine came up.
  const [victim, other] = await Promise.all([site.startEdge(port, 2), site.startEdge(port, 2)])
  await eventually(
    () => send(port, '/readyz'),
    ({ status }) => status === 200,
    10_000,
  )
  assert.deepEqual(await partitionsOf(site), ['edge-0', 'edge-1', 'edge-2', 'edge-3'])

  let restarted: Promise<Installation> | undefined
  const killAt = 200
  const clicks = await sendClicks(port, 'lamp', 900, (answered) => {
    if (answered !== killAt) return
    restarted = victim.stop('SIGKILL').then(() => site.startEdge(port, 2))
  })
  const again = await restarted!
  t.diagnostic(`${clicks.clickIds.length} clicks sent on, ${clicks.broken} connections broken by the kill`)
  // With each connection that broke, room may have been taken for a click that was not answered any more.
  assert.ok(clicks.clickIds.length <= CLICKS_MAX)
  assert.ok(clicks.clickIds.length >= CLICKS_MAX - clicks.broken)
  await levels(site, 'lamp', CLICKS_MAX, 0)
  assert.equal(new Set(clicks.clickIds).size, clicks.clickIds.length)

  const leads = await sendClicks(port, 'desk', 400)
  assert.deepEqual([leads.clickIds.length, leads.broken], [LEADS_MAX, 0])
  await levels(site, 'desk', 0, LEADS_MAX)
  const convert = (clickId: string): Promise<Answer> =>
    send(port, `/postback?click_id=${clickId}&status=lead&secret=secret-of-acme`)
  for (let at = 0; at < LEADS_MAX; at += 16) {
    const answers = await Promise.all(leads.clickIds.slice(at, at + 16).map(convert))
    for (const { status, body } of answers) assert.ok(status === 200 || status === 202, body)
  }
  await levels(site, 'desk', LEADS_MAX, 0)
  assert.deepEqual((await sendClicks(port, 'desk', 32)).clickIds, [])

  assert.deepEqual(await partitionsOf(site), ['edge-0', 'edge-1', 'edge-2', 'edge-3'], 'taken again after the kill')
  const doctor = await site.main.waypost('doctor')
  assert.match(doctor.stdout, /positions are within the log: 4 partitions/)
  const metrics = await readText(`${site.main.apiUrl}/metrics`)
  for (const partition of await partitionsOf(site))
    assert.match(metrics, new RegExp(`waypost_pipeline_records_total\\{[^}]*partition="${partition}"`))

  for (const edge of [again, other]) assert.deepEqual(await edge.stop(), { code: 0, signal: null })
  assert.deepEqual(await site.main.stop(), { code: 0, signal: null })
  const journal = join(site.dataDir, 'acknowledged')
  const promises = [
    ...[...clicks.clickIds, ...leads.clickIds].map((clickId) => ({ kind: 'click', clickId })),
    ...leads.clickIds.map((clickId) => ({ kind: 'postback', clickId })),
  ]
  writeFileSync(journal, promises.map((promise) => JSON.stringify(promise)).join('\n'))
  const reconciled = await site.main.waypost('reconcile', '--acknowledged', journal)
  assert.equal(reconciled.code, 0, reconciled.stdout + reconciled.stderr)
  assert.match(reconciled.stdout, /edge-3: clicks of the log/)
})

test('edges of one thread share a port or have one each, and a signed postback that is sent to both is booked once', async (t) => {
  const site = await startSite(t)
  const [port, otherPort] = [await findFreePort(), await findFreePort()]
  const edges = await Promise.all([site.startEdge(port, 1), site.startEdge(port, 1), site.startEdge(otherPort, 1)])
  for (const one of [port, otherPort])
    await eventually(
      () => send(one, '/readyz'),
      ({ status }) => status === 200,
      10_000,
    )
  assert.deepEqual(await partitionsOf(site), ['edge-0', 'edge-1', 'edge-2'])
  const { clickIds } = await sendClicks(port, 'lamp', 40)
  assert.equal(clickIds.length, 40)

  const timestamp = String(Math.floor(Date.now() / 1_000))
  const query = `click_id=${clickIds[0]}&status=lead&ts=${timestamp}`
  const sig = signPostback(SIGNING_SECRET, { timestamp, query, body: '' })
  for (const one of [port, otherPort]) {
    const { status, body } = await send(one, `/postback?${query}&sig=${sig}`)
    assert.ok(status === 200 || status === 202, body)
  }
  type Inbound = { readonly items: readonly { readonly outcome: string; readonly reason: string | null }[] }
  const { items } = await eventually(
    () => site.main.api<Inbound>(`/v1/inbound-postbacks?click_id=${clickIds[0]}`),
    (inbound) => inbound.items.length === 2,
    10_000,
  )
  assert.deepEqual(items.map(({ outcome, reason }) => `${outcome} ${reason}`).sort(), [
    'converted null',
    'refused signature_replayed',
  ])
  assert.equal((await site.main.api<{ items: unknown[] }>('/v1/conversions')).items.length, 1)

  // One after the other, as for a restart without a gap.
  await edges[0].stop()
  assert.equal((await sendClicks(port, 'lamp', 20)).clickIds.length, 20)
  for (const edge of edges) await edge.stop()
  await site.main.stop()
})
