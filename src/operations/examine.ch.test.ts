import assert from 'node:assert/strict'
import { chmodSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { openSqliteCapState } from '#caps'
import { readConfig } from '#config'
import { openFileLog } from '#log'
import { fixedClock, systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { withClickHouse, withDatabase, withTempDir } from '#test-kit'

import { examine, type Finding, type Installation } from './examine.ts'

const CLICK = '01890000-0000-7000-8000-000000000001'

async function openInstallation(t: TestContext): Promise<Installation> {
  const dataDir = withTempDir(t)
  const { pool } = await withDatabase(t)
  const facts = await withClickHouse(t)
  for (const table of ['clicks', 'events', 'conversions']) await facts.command({ query: `TRUNCATE TABLE ${table}` })
  const log = await openFileLog({ directory: join(dataDir, 'log'), logLines: createLogLines('test', 'silent') })
  t.after(() => log.close())
  writeFileSync(join(dataDir, 'secrets.json'), '{}', { mode: 0o600 })
  await pool.query(
    `INSERT INTO api_keys (api_key_id, name, key_sha256, role, scopes, created_at)
     VALUES ('${CLICK}', 'secrets.json', 'x', 'owner', '{read,write}', now())`,
  )
  // A server for tests does not flush; the check of that has a test of its own.
  return { config: readConfig({ WAYPOST_DATA_DIR: dataDir }), pool, facts, log, clock: systemClock }
}

const resultOf = (findings: readonly Finding[], check: string): Finding =>
  findings.find((finding) => finding.check === check)!

test('a sound installation has nothing to look at, except that the server for tests does not flush', async (t) => {
  const findings = await examine(await openInstallation(t))
  const notOk = findings.filter(({ result, check }) => result !== 'ok' && check !== 'disk space')
  assert.deepEqual(notOk.map(({ check }) => check), ['PostgreSQL keeps what it commits']) // prettier-ignore
  assert.match(notOk[0]!.todo!, /fsync/)
})

test('finds secrets that others can read', async (t) => {
  const installation = await openInstallation(t)
  chmodSync(join(installation.config.dataDir, 'secrets.json'), 0o644)
  const { result, todo } = resultOf(await examine(installation), 'secrets are private')
  assert.equal(result, 'fail')
  assert.match(todo!, /^chmod 600 .*secrets\.json$/)
})

test('finds clocks that differ', async (t) => {
  const installation = await openInstallation(t)
  const at = async (ms: number): Promise<string> =>
    resultOf(await examine({ ...installation, clock: fixedClock(Date.now() + ms) }), 'clocks agree').result
  assert.deepEqual([await at(0), await at(5_000), await at(60_000)], ['ok', 'warn', 'fail'])
})

test('finds a missing owner key and a short one', async (t) => {
  const installation = await openInstallation(t)
  const short = { ...installation, config: { ...installation.config, apiKey: 'short' } }
  assert.equal(resultOf(await examine(short), 'owner key').result, 'warn')
  await installation.pool.query('DELETE FROM api_keys')
  assert.equal(resultOf(await examine(installation), 'owner key').result, 'fail')
})

test('finds a ledger transaction that does not balance', async (t) => {
  const installation = await openInstallation(t)
  await installation.pool.query(`
    ALTER TABLE ledger_entries DISABLE TRIGGER USER;
    INSERT INTO ledger_accounts (advertiser_id, owner, kind, currency) VALUES ('a', 'platform', 'revenue', 'USD');
    INSERT INTO ledger_transactions (booking_key, advertiser_id, description, booked_at) VALUES ('k', 'a', 'd', now());
    INSERT INTO ledger_entries SELECT transaction_id, account_id, 'a', 5, 'USD' FROM ledger_transactions, ledger_accounts`)
  const { result, detail } = resultOf(await examine(installation), 'ledger balances')
  assert.deepEqual([result, detail], ['fail', '1 of 1 transactions do not sum to zero'])
})

const writtenTwice: Readonly<Record<string, string>> = {
  clicks: `INSERT INTO clicks (at, click_id, log_offset) SELECT now64(), '${CLICK}', 7 FROM numbers(2)`,
  events: `INSERT INTO events (at, event_id, log_offset) SELECT now64(), '${CLICK}', 7 FROM numbers(2)`,
  conversions: `INSERT INTO conversions (at, seq, sign) SELECT now64(), 7, 1 FROM numbers(2)`,
}
for (const [table, query] of Object.entries(writtenTwice))
  test(`finds a record that is in the facts twice: ${table}`, async (t) => {
    const installation = await openInstallation(t)
    await installation.facts.command({ query })
    const { result, detail } = resultOf(await examine(installation), 'facts hold each record once')
    assert.deepEqual([result, detail], ['fail', `1 repeated rows in ${table}`])
  })

test('a refused event that its sender repeats, and a revision that takes back the one before, are no repeats', async (t) => {
  const installation = await openInstallation(t)
  await installation.facts.command({
    query: `INSERT INTO events (at, event_id, refusal, log_offset) SELECT now64(), '${CLICK}', 'type_unknown', number FROM numbers(2)`,
  })
  await installation.facts.command({
    query: `INSERT INTO conversions (at, conversion_id, seq, sign) VALUES (now64(), '${CLICK}', 1, 1), (now64(), '${CLICK}', 2, -1), (now64(), '${CLICK}', 2, 1)`,
  })
  assert.equal(resultOf(await examine(installation), 'facts hold each record once').result, 'ok')
})

test('finds a position beyond the log, and counts what waits', async (t) => {
  const installation = await openInstallation(t)
  const writer = await installation.log.openWriter('edge-0')
  await Promise.all([1, 2, 3].map(() => writer.append(Buffer.from('record'))))
  const move = (position: number): Promise<unknown> =>
    installation.pool.query(
      `INSERT INTO consumer_positions VALUES ('pipeline', 'edge-0', $1, NULL, 1)
       ON CONFLICT (consumer, log_partition) DO UPDATE SET position = $1`,
      [position],
    )
  await move(1)
  assert.equal(resultOf(await examine(installation), 'pipeline keeps up').detail, '2 records wait')
  await move(4)
  const { result, detail } = resultOf(await examine(installation), 'positions are within the log')
  assert.deepEqual([result, detail], ['fail', 'the pipeline is at 4 of edge-0, which ends at 3: records are missing'])
  await writer.close()
})

test('finds leases and deliveries that nobody looks after', async (t) => {
  const installation = await openInstallation(t)
  await installation.pool.query(`
    INSERT INTO delivery_workers VALUES ('${CLICK}', now() - interval '2 minutes');
    INSERT INTO delivery_ready VALUES (2, now(), 'e', now() - interval '11 minutes', 0, 0)`)
  const findings = await examine(installation)
  assert.equal(resultOf(findings, 'leases are looked after').result, 'fail')
  assert.equal(resultOf(findings, 'deliveries are sent in time').result, 'warn')
})

test('an engine that is away is a finding, and the others are still asked', async (t) => {
  const installation = await openInstallation(t)
  const { pool } = await withDatabase(t)
  await pool.end()
  const findings = await examine({ ...installation, pool })
  assert.equal(resultOf(findings, 'PostgreSQL answers').result, 'fail')
  assert.equal(resultOf(findings, 'ClickHouse answers').result, 'ok')
})

test('tells whether the counts of caps can be read and are whole', async (t) => {
  const installation = await openInstallation(t)
  const directory = join(installation.config.dataDir, 'caps')
  const ask = async (): Promise<Finding> => resultOf(await examine(installation), 'caps are counted')
  assert.match((await ask()).detail, /^nothing was counted since the machine started, 0 revisions/)
  const state = openSqliteCapState({ directory })
  const lacking = await ask()
  assert.equal(lacking.result, 'warn')
  assert.match(
    lacking.detail,
    /^clicks from 1970-01-01T00:00:00\.000Z to \S+, before the machine went down, are not counted yet$/,
  )
  await state.rebuild([])
  assert.deepEqual([(await ask()).result, (await ask()).detail], ['ok', 'the counts can be read, 0 revisions of conversions wait since the last saved copy']) // prettier-ignore
  await state.close()
  const [run] = readdirSync(directory)
  writeFileSync(join(directory, run!, 'caps.db'), 'no database'.repeat(1_000))
  assert.equal((await ask()).result, 'fail')
})

test('tells how far caps lag behind the conversions, and from when on that is too far', async (t) => {
  const installation = await openInstallation(t)
  await installation.pool.query(
    'ALTER TABLE conversion_revisions DROP CONSTRAINT conversion_revisions_conversion_id_fkey',
  )
  await installation.pool.query(
    `INSERT INTO conversion_revisions (conversion_id, advertiser_id, revision, status, payout_micros, revenue_micros,
       sale_amount_micros, is_hold_released, cause, revised_at)
     VALUES ('${CLICK}', 'a', 1, 'approved', 0, 0, 0, false, 'event', now() - interval '1 minute')`,
  )
  const ask = async (capPlace?: () => number): Promise<Finding> =>
    resultOf(await examine({ ...installation, ...(capPlace && { capPlace }) }), 'caps are counted')
  // A copy is saved every minute: what came since may be counted already.
  const saved = await ask()
  assert.equal(saved.result, 'ok')
  assert.match(saved.detail, /, 1 revisions of conversions wait since the last saved copy, the oldest for 6\d s$/)
  const own = await ask(() => 1)
  assert.equal(own.result, 'warn')
  assert.match(own.detail, /, 1 revisions of conversions wait, the oldest for 6\d s$/)
  assert.equal((await ask(() => 2)).result, 'ok')
})
