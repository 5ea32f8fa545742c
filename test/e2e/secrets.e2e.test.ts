/** Where secrets are, with the whole program running: in no file, answer, command or log line. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { findFreePort } from '#platform/ports'
import { withTempDir } from '#test-kit'
import { eventually, runWaypost, installationEnvironment, startInstallation } from './installation.ts'

const SHARED = 'partner-key-Zq81xK'
const HMAC = 'hmac-key-Pw93mN'
const SIGNING = `whsec_${Buffer.alloc(24, 'Uv47').toString('base64')}`
const URL_KEY = 'url-key-Rt55/bD'
const HEADER_KEY = 'header-key-Ky31vL'
const FILLED_HEADER = 'filled-header-Wn20cF'
const TEMPLATE_KEY = 'template-key-Mx77sA'
const SECRETS = [SHARED, HMAC, SIGNING, SIGNING.slice('whsec_'.length), URL_KEY, encodeURIComponent(URL_KEY), HEADER_KEY, FILLED_HEADER, TEMPLATE_KEY] // prettier-ignore

/** Nobody listens at the first endpoint, and the second one refuses and repeats what it got: both failures are on record. */
const configuration = (port: number, echoPort: number, name: string): string => `
advertisers: { acme: {} }
offers:
  lamp:
    advertiser_id: acme
    name: ${name}
    landing_url: https://shop.example/?clickid={clickid}
    prices: [{ type: sale, payout: 5, revenue: 8 }]
    postback: { secrets: [${SHARED}], hmac_secrets: [${HMAC}] }
links: { go: { offer_id: lamp } }
endpoints:
  crm: { advertiser_id: acme, url: "http://127.0.0.1:${port}/?c={click_id}", allow_private_address: true, secret: ${SIGNING} }
  erp:
    advertiser_id: acme
    url: "http://127.0.0.1:${echoPort}/{secret.url_key}/?c={click_id}"
    headers: { Authorization: "Bearer {secret.token}", X-Api-Key: ${FILLED_HEADER} }
    secrets: { url_key: ${URL_KEY}, token: ${HEADER_KEY} }
    allow_private_address: true
  tracker: { advertiser_id: acme, template: tune, parameters: { host: tracker.invalid, click_id: click_id, token: ${TEMPLATE_KEY} } }
`

/** Every file below a directory. */
const filesIn = (directory: string): readonly string[] =>
  readdirSync(directory, { withFileTypes: true, recursive: true }).flatMap((entry) =>
    entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
  )

const holdsSecret = (content: Buffer | string): boolean => SECRETS.some((secret) => content.includes(secret))

/** A body; of a stream that goes on for ever, its first piece. */
async function readText(response: Response): Promise<string> {
  if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true) return response.text()
  const reader = response.body!.getReader()
  const { value } = await reader.read()
  await reader.cancel()
  return Buffer.from(value ?? []).toString()
}

/** A receiver that answers with what it was sent. */
async function startEcho(t: TestContext): Promise<{ readonly echoPort: number; readonly requests: readonly string[] }> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push([request.url, request.headers.authorization, request.headers['x-api-key']].join(' '))
    response.writeHead(500, { 'x-request': requests.at(-1)! }).end(requests.at(-1))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { echoPort: (server.address() as AddressInfo).port, requests }
}

test('secrets are in no file, answer, command or log line; their key can be replaced, and without it nothing starts', async (t) => {
  const directory = withTempDir(t)
  const dataDir = join(directory, 'data')
  const [edgePort, apiPort, port] = [await findFreePort(), await findFreePort(), await findFreePort()]
  const env = { dataDir, edgePort, apiPort }
  const { echoPort, requests } = await startEcho(t)
  const file = join(directory, 'configuration.yaml')
  const first = await startInstallation(env)
  t.after(() => first.stop('SIGKILL'))
  const printed: string[] = []
  const waypost = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await first.waypost(...args)
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    printed.push(stdout, stderr)
    return stdout
  }
  const apply = (name: string): Promise<string> => {
    writeFileSync(file, configuration(port, echoPort, name))
    return waypost('apply', file)
  }
  await apply('Lamp')
  await apply('Torch')

  // The secrets are in use: a postback comes in with one, and one goes out signed.
  const location = await eventually(
    async () => (await fetch(`${first.edgeUrl}/go`, { redirect: 'manual' })).headers.get('location'),
    (target) => target !== null,
    10_000,
  )
  const clickId = new URL(location!).searchParams.get('clickid')!
  const postback = await fetch(`${first.edgeUrl}/postback?clickid=${clickId}&status=sale&secret=${SHARED}`)
  // 202 where the click is not indexed yet.
  assert.ok(postback.ok, await postback.text())
  type Deliveries = { readonly items: readonly { readonly delivery_id: string; readonly attempts: number }[] }
  await eventually(
    () => first.api<Deliveries>('/v1/deliveries'),
    (page) => page.items.length === 3 && page.items.every((one) => one.attempts > 0),
    20_000,
  )
  assert.match(requests[0]!, /^\/url-key-Rt55%2FbD\/\?c=\S+ Bearer header-key-Ky31vL filled-header-Wn20cF$/)

  const keysBefore = readFileSync(join(dataDir, 'secret-keys.json'), 'utf8')
  assert.equal(statSync(join(dataDir, 'secret-keys.json')).mode & 0o777, 0o600)
  for (const args of [['config', 'history'], ['config', 'show', '2'], ['config', 'diff', '1', '3'], ['config', 'restore', '2'], ['explain', `${first.edgeUrl}/go`], ['secrets', 'status']]) await waypost(...args) // prettier-ignore
  const { paths } = await first.api<{ paths: Record<string, { get?: object }> }>('/openapi.json')
  const addresses = Object.keys(paths).filter((path) => paths[path]!.get !== undefined)
  assert.ok(addresses.length > 10)
  for (const address of addresses) {
    const path = address
      .replace('{version}', '2')
      .replace('{click_id}', clickId)
      .replace(/\{\w+\}/, '1')
    const response = await fetch(`${first.apiUrl}${path}`, { headers: { authorization: `Bearer ${first.apiKey}` } })
    printed.push(await readText(response))
  }

  assert.match(
    await waypost('secrets', 'rotate', '--forget-old'),
    /Key [0-9a-f]{8} seals everything now, [34] versions/,
  )
  // The running processes find the new key by themselves.
  await apply('Candle')
  const keysAfter = readFileSync(join(dataDir, 'secret-keys.json'), 'utf8')
  assert.notEqual(keysAfter, keysBefore)
  assert.equal(await first.stop().then(({ code }) => code), 0)
  assert.ok(holdsSecret(readFileSync(file)))
  assert.equal(printed.find(holdsSecret), undefined)
  assert.ok(!holdsSecret(first.output()))
  assert.deepEqual(filesIn(dataDir).filter((path) => holdsSecret(readFileSync(path))), []) // prettier-ignore

  // Started again with the new key alone, it still knows the secret.
  const second = await startInstallation(env)
  t.after(() => second.stop('SIGKILL'))
  const again = await fetch(`${second.edgeUrl}/postback?clickid=${clickId}&status=sale&txid=2&secret=${SHARED}`)
  assert.ok(again.ok, await again.text())
  await second.stop()

  renameSync(join(dataDir, 'secret-keys.json'), join(directory, 'kept.json'))
  const lost = await runWaypost(['serve'], installationEnvironment(env))
  assert.equal(lost.code, 1)
  assert.match(lost.stderr, /A secret in the database is sealed with a key that is not here\. Put the key back from a backup\. It is the key [0-9a-f]{8}; .*secret-keys\.json has [0-9a-f]{8}\./) // prettier-ignore
  renameSync(join(directory, 'kept.json'), join(dataDir, 'secret-keys.json'))
  const third = await startInstallation(env)
  t.after(() => third.stop('SIGKILL'))
  await third.stop()
})
