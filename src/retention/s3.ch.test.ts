import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'

import S3rver from 's3rver'

import { withClickHouse, withDatabase, withTempDir } from '#test-kit'

import { ask } from './ask.ts'
import { listRetirements, policiesOf, readRetired, restoreDay, runRetention, sourcesFor } from './index.ts'
import type { ArchivePlaces, S3Place } from './index.ts'
import { readColumns } from './retire.ts'
import { askWorld, DAYS, fillWorld, NOW_MS, testTools } from './test-world.ts'

/** Storage on loopback with one bucket. */
async function withStorage(t: TestContext): Promise<S3Place> {
  const server = new S3rver({
    ...{
      address: '127.0.0.1',
      port: 0,
      silent: true,
      directory: withTempDir(t),
      configureBuckets: [{ name: 'waypost' }],
    },
  })
  const { port } = await server.run()
  t.after(() => server.close())
  const endpoint = `http://127.0.0.1:${port}`
  return { endpoint, bucket: 'waypost', prefix: 'facts/', accessKey: 'S3RVER', secretKey: 'S3RVER' }
}

const policies = policiesOf({ rawDays: 10, archive: 's3' }, [])

test('archives go to S3, are read from there by reports, and put back', async (t) => {
  const s3 = await withStorage(t)
  const facts = await withClickHouse(t)
  const { pool } = await withDatabase(t)
  await fillWorld(facts, pool)
  const places: ArchivePlaces = { directory: undefined, s3 }
  const tools = testTools(facts, pool, places, policies)
  const before = await askWorld(facts, pool, places)
  const content = 'SELECT count() AS n, sum(cityHash64(*)) AS h FROM clicks'
  const raw = await ask(facts, content)
  await runRetention(tools)
  assert.deepEqual(await askWorld(facts, pool, places), before)
  const retired = await readRetired(pool, { fromMs: Date.parse(DAYS[0]), toMs: NOW_MS })
  const question = { table: 'clicks', sql: 'sub1', isWholeHours: true, withArchive: true } as const
  const { sources } = sourcesFor(question, retired, places, await readColumns(facts, 'clicks'))
  const union = sources.map(({ from }) => `SELECT sub1 FROM ${from}`).join(' UNION ALL ')
  assert.deepEqual(await ask(facts, `SELECT count() AS n FROM (${union})`), [{ n: '600' }])
  await restoreDay(tools, DAYS[0])
  assert.deepEqual(await ask(facts, content), raw)
})

test('storage that refuses, lacks the bucket or cannot be reached is said without its keys, and nothing is dropped', async (t) => {
  const s3 = await withStorage(t)
  const facts = await withClickHouse(t)
  const { pool } = await withDatabase(t)
  await fillWorld(facts, pool)
  const before = await ask(facts, 'SELECT count() AS n FROM clicks')
  // Storage that knows no key.
  const refusing = createServer((_request, response) => {
    response.writeHead(403, { 'content-type': 'application/xml' })
    response.end(
      '<Error><Code>InvalidAccessKeyId</Code><Message>The access key id you provided does not exist</Message></Error>',
    )
  })
  await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve))
  t.after(() => new Promise((resolve) => refusing.close(resolve)))
  const refusingEndpoint = `http://127.0.0.1:${(refusing.address() as AddressInfo).port}`
  const secret = { accessKey: 'AKIDVERYOWN', secretKey: 'very/secret+key' }
  const wrong: readonly (readonly [S3Place, RegExp])[] = [
    [{ ...s3, ...secret, endpoint: refusingEndpoint }, /refuses the keys/],
    [{ ...s3, bucket: 'no-such-bucket' }, /bucket does not exist/],
    [{ ...s3, ...secret, endpoint: 'http://127.0.0.1:9' }, /cannot be reached/],
  ]
  for (const [place, says] of wrong) {
    const tools = testTools(facts, pool, { directory: undefined, s3: place }, policies)
    await assert.rejects(runRetention(tools), (error: Error) => {
      assert.match(error.message, says)
      assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /AKIDVERYOWN|very\/secret/)
      return true
    })
  }
  assert.deepEqual(await ask(facts, 'SELECT count() AS n FROM clicks'), before)
  assert.ok((await listRetirements(pool)).every(({ state }) => state === 'planned'))
})
