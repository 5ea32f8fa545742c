import fc from 'fast-check'
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { newClickId } from '#platform/ids'
import { withClickHouse } from '#test-kit'
import { compileRule, MET } from './compile-rule.ts'
import { parseIp } from './addresses.ts'
import { RuleFacts } from './facts.ts'
import { findField } from './fields.ts'
import { hostOfUrl } from './hosts.ts'
import { parseRule } from './parse-rule.ts'
import type { FactsTable } from './fields.ts'
import type { Rule } from './rule.ts'
import { ruleToSql } from './rule-to-sql.ts'
import { anyFacts, anyRule, AT, testLists } from './test-rules.ts'

const SEED = 20_260_901

/** Clicks as a table holds them: what is not known of an amount is 0 there, and no text stands for an address. */
const clicks = fc.sample(anyFacts, { numRuns: 60, seed: SEED }).map(
  (facts) =>
    new RuleFacts({
      at: facts.at,
      visitor: parseIp(facts.visitor.ip ?? '') === undefined ? withoutIp(facts) : facts.visitor,
      parameters: { cost_micros: 0, ...facts.parameters },
      assigned: facts.assigned,
      query: facts.query,
      isUnique: facts.isUnique,
    }),
)

function withoutIp({ visitor }: RuleFacts): RuleFacts['visitor'] {
  const { ip: _, ...others } = visitor
  return others
}

async function findClicks(t: TestContext, rule: Rule): Promise<readonly number[] | undefined> {
  const facts = await withClickHouse(t)
  const compiled = ruleToSql(rule, { table: 'clicks', lists: testLists })
  if (compiled.kind !== 'sql') return undefined
  const answer = await facts.query({
    query: `SELECT log_offset FROM clicks WHERE log_partition = 'rules' AND (${compiled.sql}) ORDER BY log_offset`,
    query_params: { ...compiled.params },
    format: 'JSONEachRow',
  })
  const rows = await answer.json<{ log_offset: string | number }>()
  return rows.map((row) => Number(row.log_offset))
}

test('a report finds the clicks that a rule takes', async (t) => {
  const facts = await withClickHouse(t)
  const values = clicks.map(({ at, visitor, parameters, assigned, isUnique }, index) => {
    const unique = {
      is_unique_campaign: isUnique?.('campaign') ?? false,
      is_unique_offer: isUnique?.('offer') ?? false,
      is_unique_global: isUnique?.('global') ?? false,
      ...(parameters.referrer !== undefined && { referrer_host: hostOfUrl(parameters.referrer) }),
    }
    return { at, click_id: newClickId(at), ...visitor, ...parameters, ...assigned, ...unique, log_partition: 'rules', log_offset: index } // prettier-ignore
  })
  await facts.insert({ table: 'clicks', values, format: 'JSONEachRow' })
  const rules = fc.sample(anyRule(findField, 'report'), { numRuns: 400, seed: SEED })
  let compared = 0
  for (const rule of rules) {
    const found = await findClicks(t, rule)
    if (found === undefined) continue
    const evaluate = compileRule(rule, testLists)
    const expected = clicks.flatMap((click, index) => (evaluate(click) === MET ? [index] : []))
    // That nothing is known of an amount cannot be told from 0.
    if (JSON.stringify(rule).includes('"cost","op":"exists"')) continue
    assert.deepEqual(found, expected, JSON.stringify(rule))
    compared += 1
  }
  assert.ok(compared > 150, `${compared} rules were compared`)
})

test('conversions are filtered by what only they know', async (t) => {
  const facts = await withClickHouse(t)
  const row = { at: AT, click_at: AT - 90_500, conversion_id: newClickId(AT), sign: 1, type: 'sale', status: 'approved', payout_micros: 1_500_000, country: 'DE' } // prettier-ignore
  await facts.insert({ table: 'conversions', values: [row], format: 'JSONEachRow' })
  const count = async (text: string): Promise<number> => {
    const parsed = parseRule(text, { context: 'report' })
    assert.equal(parsed.kind, 'parsed', text)
    const compiled = ruleToSql(parsed.kind === 'parsed' ? parsed.rule : { any: [] }, { table: 'conversions' })
    assert.equal(compiled.kind, 'sql', text)
    if (compiled.kind !== 'sql') return -1
    const query = `SELECT count() AS rows FROM conversions WHERE ${compiled.sql}`
    const answer = await facts.query({ query, query_params: { ...compiled.params }, format: 'JSONEachRow' })
    return Number((await answer.json<{ rows: string | number }>())[0]?.rows)
  }
  assert.equal(await count('status is approved and payout between 1 and 1.5 and continent is EU'), 1)
  assert.equal(await count('ctit_seconds between 90 and 91'), 1)
  assert.equal(await count('ctit_seconds between 91 and *'), 0)
  assert.equal(await count('type is lead or goal exists'), 0)
})

test('values never become part of the text of a query', () => {
  const value = "'); DROP TABLE clicks; --"
  const compiled = ruleToSql({ field: 'sub2.geo', op: 'is', value }, { table: 'clicks', prefix: 'filter' })
  assert.deepEqual(compiled, {
    kind: 'sql',
    sql: '(lowerUTF8(sub2_keys[{filter_0:String}]) IN {filter_1:Array(String)})',
    params: { filter_0: 'geo', filter_1: [value.toLowerCase()] },
  })
})

test('says what a table does not hold', () => {
  const refusals: readonly (readonly [Rule, FactsTable, string])[] = [
    [
      { all: [{ field: 'payout', op: 'is', value: '1' }] },
      'clicks',
      'rule.all[0].field payout is not known of clicks.',
    ],
    [{ field: 'ip', op: 'is', value: '10.0.0.1' }, 'conversions', 'rule.field ip is not known of conversions.'],
    [{ field: 'query.x', op: 'is', value: 'a' }, 'clicks', 'rule.field query.x is not known of clicks.'],
    [
      { field: 'ip', op: 'in', value: Array.from({ length: 1_001 }, () => '::1') },
      'clicks',
      'rule.value A report compares with at most 1000',
    ],
  ]
  for (const [rule, table, expected] of refusals) {
    const compiled = ruleToSql(rule, { table })
    const told = compiled.kind === 'sql' ? compiled.sql : `${compiled.path} ${compiled.message}`
    assert.ok(told.startsWith(expected), told)
  }
  assert.equal(ruleToSql({ all: [] }, { table: 'clicks' }).kind, 'sql')
})
