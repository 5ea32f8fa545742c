import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'

import { fixedClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { withDatabase } from '#test-kit'

import { fetchRatesOnce, listRates, readFetchState } from './index.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const XML = `<?xml version="1.0" encoding="UTF-8"?><gesmes:Envelope><Cube>
  <Cube time="2026-11-20"><Cube currency="USD" rate="1.0834"/><Cube currency="JPY" rate="161.5"/></Cube>
  <Cube time='2026-11-19'><Cube currency='USD' rate='1.08'/></Cube></Cube></gesmes:Envelope>`

test('fetches rates and notes how it went; what fails leaves what is stored', async (t) => {
  const { pool } = await withDatabase(t)
  let answer: { status: number; body: string } = { status: 200, body: XML }
  const server = createServer((_request, response) => response.writeHead(answer.status).end(answer.body))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/rates`
  const options = { pool, url, clock: fixedClock(NOW), logLines: createLogLines('test', 'silent') }

  assert.equal(await readFetchState(pool), undefined)
  assert.equal(await fetchRatesOnce(options), undefined)
  const state = await readFetchState(pool)
  assert.deepEqual([state!.stored, state!.newest_day, state!.problem], [3, '2026-11-20', null])
  const problems: readonly (readonly [typeof answer, RegExp])[] = [
    [{ status: 503, body: '' }, /status 503/],
    [{ status: 200, body: '<html>' }, /no eurofxref file/],
    [{ status: 200, body: '2026-11-20,USD,-1' }, /line 1/],
    [{ status: 200, body: ' '.repeat(16_777_217) }, /more than 16777216 bytes/],
  ]
  for (const [wrong, problem] of problems) {
    answer = wrong
    assert.match((await fetchRatesOnce(options))!, problem)
    const after = await readFetchState(pool)
    assert.match(after!.problem!, problem)
    assert.deepEqual([after!.succeeded_at!.getTime(), after!.newest_day], [NOW, '2026-11-20'])
  }
  assert.match((await fetchRatesOnce({ ...options, url: 'http://127.0.0.1:1/' }))!, /cannot be reached/)
  assert.deepEqual(
    (await listRates(pool, { limit: 10 })).map(({ day, currency, rate }) => [day, currency, rate]),
    [
      ['2026-11-20', 'JPY', '161.5'],
      ['2026-11-20', 'USD', '1.0834'],
      ['2026-11-19', 'USD', '1.08'],
    ],
  )
})
