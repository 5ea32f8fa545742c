/** Roles in processes of their own, seen from outside. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { withDatabase, withTempDir } from '#test-kit'
import { eventually, startInstallation, type Installation } from './installation.ts'

const PAGE = /metrics\s+(http:\/\/\S+)/
/** An address that may not be requested: that is a try like any other, and needs no receiver. */
const configurationWith = (opsUrl: string): string => `
endpoints:
  crm: { url: 'https://localhost/?c={click_id}' }
  ops: { triggers: [notice], url: '${opsUrl}', allow_private_address: true, secret: whsec_${Buffer.alloc(24, 1).toString('base64')} }
`

/** @returns its address, and the first request with its body */
async function listenOnce(
  t: TestContext,
): Promise<{ url: string; first: Promise<readonly [IncomingMessage, string]> }> {
  const server = createServer()
  const first = once(server, 'request').then(async ([request, response]) => {
    const body = Buffer.concat(await (request as IncomingMessage).toArray()).toString()
    response.end('ok')
    return [request as IncomingMessage, body] as const
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, first }
}

test('a process that only delivers says whether it is well and what it tried, and sends notices', async (t) => {
  const started: Installation[] = []
  // Before the database's own hook, which can drop it only when nobody uses it.
  t.after(() => Promise.all(started.map((one) => one.stop('SIGKILL'))))
  const directory = withTempDir(t)
  const dataDir = join(directory, 'data')
  const { pool, url } = await withDatabase(t)
  const ops = await listenOnce(t)
  const env = { DATABASE_URL: url }
  const main = await startInstallation({ dataDir, env, args: ['--role', 'pipeline,api'], waitFor: ['api'] })
  started.push(main)
  const delivery = await startInstallation({ dataDir, env, args: ['--role', 'delivery'], waitFor: [] })
  started.push(delivery)
  const output = await eventually(
    () => Promise.resolve(delivery.output()),
    (text) => PAGE.test(text),
    30_000,
  )
  const page = PAGE.exec(output)![1]!
  const read = async (path: string): Promise<Response> => fetch(`${page}${path}`)
  assert.equal((await read('/healthz')).status, 200)
  assert.equal((await read('/readyz')).status, 200)

  const file = join(directory, 'waypost.yaml')
  writeFileSync(file, configurationWith(ops.url))
  const applied = await main.waypost('apply', file)
  assert.equal(applied.code, 0, `${applied.stdout}${applied.stderr}`)
  await main.waypost('endpoints', 'test', 'crm')
  const metrics = await eventually(
    async () => (await read('/metrics')).text(),
    (text) => /^waypost_delivery_attempts_total\{endpoint="crm",outcome="retry"\} 1$/m.test(text),
    20_000,
  )
  assert.match(metrics, /^waypost_delivery_shards 64$/m)
  assert.match(metrics, /^waypost_delivery_under_way 0$/m)

  await pool.query("INSERT INTO notices (kind, endpoint_id) VALUES ('endpoint_disabled', 'crm')")
  const [{ headers }, body] = await ops.first
  assert.match(String(headers['webhook-signature']), /^v1,/)
  assert.equal(JSON.parse(body).type, 'notice.endpoint_disabled')
  assert.deepEqual(await delivery.stop(), { code: 0, signal: null })
  await main.stop()
})
