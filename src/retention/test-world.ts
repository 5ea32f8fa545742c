import type { FactTable } from '#facts'
import type { FactsClient } from '#platform/clickhouse'
import { fixedClock } from '#platform/clock'
import type { Pool } from '#platform/postgres'

import { ask } from './ask.ts'
import type { ArchivePlaces } from './archives.ts'
import type { Policies } from './policies.ts'
import { factTables, readColumns, type RetentionTools } from './retire.ts'
import { readRetired, sourcesFor } from './sources.ts'

/** A world of facts for tests: two days of three advertisers, of which the last day is young. */
export const DAYS = ['2026-03-01', '2026-03-20'] as const
export const NOW_MS = Date.parse('2026-03-22T03:00:00Z')
const ROWS_OF_DAY = 300

const dims = `['acme', 'bolt', ''][n % 3 + 1] AS advertiser_id, concat('c', toString(intDiv(n, 7) % 4)) AS campaign_id,
  concat('o', toString(n % 5)) AS offer_id, concat('a', toString(n % 2)) AS affiliate_id, ['DE', 'AT', ''][intDiv(n, 3) % 3 + 1] AS country,
  concat('s', toString(n)) AS sub1, map('geo', concat('k', toString(n % 9))) AS sub2_keys, ['EUR', 'USD'][n % 2 + 1] AS currency`
const COLUMNS = 'advertiser_id, campaign_id, offer_id, affiliate_id, country, sub1, sub2_keys, currency'

/** Fills the tables anew, as the pipeline would have: all of it below the places of the log. */
export async function fillWorld(facts: FactsClient, pool: Pool): Promise<void> {
  for (const table of factTables) await facts.command({ query: `TRUNCATE TABLE ${table}` })
  for (const table of factTables) await facts.command({ query: `TRUNCATE TABLE kept_${table}` })
  for (const [index, day] of DAYS.entries()) {
    const base = index * 10_000
    const rows = `FROM (SELECT number AS n FROM numbers(${ROWS_OF_DAY}))`
    const at = `toDateTime64('${day} 00:00:00', 3, 'UTC') + INTERVAL (n * 7919 % 1440) MINUTE`
    await facts.command({
      query: `INSERT INTO clicks (at, click_id, class, outcome, is_unique_campaign, cost_micros, bot, log_partition, log_offset, ${COLUMNS})
        SELECT ${at}, reinterpretAsUUID(toUInt128(${base} + n)), if(n % 11 = 0, 'prefetch', 'click'), 'redirected', n % 4 = 0,
          if(n % 6 = 0, 0, n * 37), if(n % 13 = 0, 'crawler', ''), ['p1', 'p2'][n % 2 + 1], ${base} + n,
          ${dims} ${rows} SETTINGS insert_deduplicate = 0`,
    })
    await facts.command({
      query: `INSERT INTO events (at, event_id, click_id, click_at, type, time_on_page_ms, log_partition, log_offset, ${COLUMNS})
        SELECT ${at}, toString(n), reinterpretAsUUID(toUInt128(${base} + n)), ${at} - INTERVAL 5 MINUTE, ['open', 'lp_click', 'kyc'][n % 3 + 1],
          if(n % 5 = 0, n * 11, 0), ['p1', 'p2'][n % 2 + 1], ${base} + n, ${dims} ${rows} SETTINGS insert_deduplicate = 0`,
    })
    await insertConversions(facts, day, base, `n % 3 = 0`)
  }
  await pool.query('TRUNCATE consumer_positions, fact_retirements')
  await pool.query(
    `INSERT INTO consumer_positions (consumer, log_partition, position, epoch) VALUES
       ('pipeline', 'p1', 100000, 1), ('pipeline', 'p2', 100000, 1), ('conversion-facts', 'conversions', 100000, 1)`,
  )
}

/** One revision of each conversion of a day, and of those that meet a condition one that approves it. */
async function insertConversions(facts: FactsClient, day: string, base: number, isApproved: string): Promise<void> {
  const at = `toDateTime64('${day} 00:00:00', 3, 'UTC') + INTERVAL (n * 7919 % 1440) MINUTE`
  const select = (sign: number, status: string, seq: string): string =>
    `SELECT ${at}, reinterpretAsUUID(toUInt128(${base} + n)), ${sign}, ${seq}, ${at} - INTERVAL n SECOND, ['lead', 'sale'][n % 2 + 1], '${status}',
       n * 1000, n * 2500, if(n % 2 = 0, 0, n * 9000), ${dims}`
  const rows = (condition: string): string => `FROM (SELECT number AS n FROM numbers(90)) WHERE ${condition}`
  await facts.command({
    query: `INSERT INTO conversions (at, conversion_id, sign, seq, click_at, type, status, payout_micros, revenue_micros, sale_amount_micros, ${COLUMNS})
      ${select(1, 'pending', `${base} + n`)} ${rows('1')}
      UNION ALL ${select(-1, 'pending', `${base} + 1000 + n`)} ${rows(isApproved)}
      UNION ALL ${select(1, 'approved', `${base} + 1000 + n`)} ${rows(isApproved)}
      SETTINGS insert_deduplicate = 0`,
  })
}

/** Rejects what still waits of a day, as a partner does weeks later. */
export async function correctConversions(facts: FactsClient, day: string): Promise<void> {
  const base = DAYS.indexOf(day as (typeof DAYS)[number]) * 10_000
  const at = `toDateTime64('${day} 00:00:00', 3, 'UTC') + INTERVAL (n * 7919 % 1440) MINUTE`
  const select = (sign: number, status: string): string =>
    `SELECT ${at}, reinterpretAsUUID(toUInt128(${base} + n)), ${sign}, ${base} + 2000 + n, ${at} - INTERVAL n SECOND, ['lead', 'sale'][n % 2 + 1],
       '${status}', n * 1000, n * 2500, if(n % 2 = 0, 0, n * 9000), ${dims} FROM (SELECT number AS n FROM numbers(90)) WHERE n % 3 = 1`
  await facts.command({
    query: `INSERT INTO conversions (at, conversion_id, sign, seq, click_at, type, status, payout_micros, revenue_micros, sale_amount_micros, ${COLUMNS})
      ${select(-1, 'pending')} UNION ALL ${select(1, 'rejected')} SETTINGS insert_deduplicate = 0`,
  })
}

/** Questions whose answers must not change, by columns that are kept. `{sign}` is what a row counts for. */
const QUESTIONS: Readonly<Record<FactTable, string>> = {
  clicks: `toString(toDate(at, 'UTC')) AS g1, advertiser_id AS g2, concat(campaign_id, country) AS g3, toHour(at) AS g4,
    sumIf(toInt64({sign}), class = 'click') AS a, sumIf(toInt64({sign}), is_unique_campaign) AS b, sumIf(toInt64({sign} * cost_micros), currency = 'EUR') AS c,
    sumIf(toInt64({sign}), bot != '') AS d, sumIf(toInt64({sign}), cost_micros != 0) AS e`,
  events: `toString(toDate(at, 'UTC')) AS g1, advertiser_id AS g2, concat(campaign_id, country) AS g3, toHour(at) AS g4,
    sumIf(toInt64({sign}), type = 'open') AS a, sumIf(toInt64({sign}), type = 'kyc') AS b, sumIf(toInt64({sign} * time_on_page_ms), refusal = '') AS c,
    toInt64(0) AS d, toInt64(0) AS e`,
  conversions: `toString(toDate(at, 'UTC')) AS g1, advertiser_id AS g2, concat(campaign_id, country, status) AS g3, toHour(click_at) AS g4,
    sumIf(toInt64({sign}), type = 'sale') AS a, sum(toInt64({sign}) * payout_micros) AS b, sum(toInt64({sign}) * revenue_micros) AS c,
    sum(toInt64({sign}) * (toUnixTimestamp64Milli(at) - toUnixTimestamp64Milli(click_at))) AS d, sumIf(toInt64({sign}), sale_amount_micros != 0) AS e`,
}

/** The answers, as reports would ask for them. */
export async function askWorld(facts: FactsClient, pool: Pool, places: ArchivePlaces): Promise<readonly unknown[]> {
  const retired = await readRetired(pool, { fromMs: Date.parse(DAYS[0]), toMs: NOW_MS })
  const answers: unknown[] = []
  for (const table of factTables) {
    const columns = await readColumns(facts, table)
    const question = { table, sql: QUESTIONS[table], isWholeHours: true, withArchive: false }
    const { sources, missing } = sourcesFor(question, retired, places, columns)
    const parts = sources.map(
      ({ from, sign }) => `SELECT ${QUESTIONS[table].replaceAll('{sign}', sign)} FROM ${from} GROUP BY g1, g2, g3, g4`,
    )
    const rows = await ask(
      facts,
      `SELECT g1, g2, g3, g4, sum(a), sum(b), sum(c), sum(d), sum(e) FROM (${parts.join(' UNION ALL ')}) GROUP BY ALL ORDER BY ALL`,
    )
    answers.push({ table, missing, rows })
  }
  return answers
}

export const testTools = (
  facts: FactsClient,
  pool: Pool,
  places: ArchivePlaces,
  policies: Policies | undefined,
): RetentionTools => ({ facts, pool, places, policies: () => policies, clock: fixedClock(NOW_MS), graceMs: 0 })
