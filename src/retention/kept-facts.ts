import type { FactTable } from '#facts'

/** What stays of raw rows. `docs/retention.md` lists the columns; a report that needs another one is answered from the archive.
 *
 * Kept rows have the columns of the raw table and `sign`: for how many raw rows each stands. So every sum, every spread of values and
 * every condition is computed from them as from raw conversions, and is the same to the micro.
 */
const ids = ['advertiser_id', 'campaign_id', 'flow_id', 'landing_id', 'offer_id', 'affiliate_id', 'source_id'] as const
const visitor = ['country', 'connection', 'device_type', 'os', 'browser', 'language', 'bot', 'fraud_reason'] as const

type Kept = {
  readonly table: string
  /** Columns that rows are told apart by, beside their time. */
  readonly keys: readonly string[]
  /** How times are kept. */
  readonly times: Readonly<Record<string, string>>
  /** Amounts that are added up, each with what is compared before raw rows are dropped. */
  readonly amounts: readonly string[]
}

/** An event of no click has the time 0, and is to have it still. */
const CLICK_HOUR = 'if(toUnixTimestamp64Milli(click_at) = 0, click_at, toDateTime64(toStartOfHour(click_at), 3, %s))'
const HOUR = `toDateTime64(toStartOfHour(at), 3, 'UTC')`

export const keptFacts: Readonly<Record<FactTable, Kept>> = {
  clicks: {
    table: 'kept_clicks',
    keys: [
      ...['class', 'outcome', 'refusal', ...ids, ...visitor],
      ...['is_unique_campaign', 'is_unique_offer', 'is_unique_global', 'currency'],
    ],
    times: { at: HOUR },
    amounts: ['cost_micros'],
  },
  events: {
    table: 'kept_events',
    keys: ['type', 'refusal', ...ids, ...visitor, 'time_on_page_ms'],
    times: { at: HOUR, click_at: CLICK_HOUR.replace('%s', `'UTC'`) },
    amounts: [],
  },
  conversions: {
    table: 'kept_conversions',
    keys: [
      ...['type', 'goal', 'status', ...ids, ...visitor, 'currency'],
      ...['payout_micros', 'revenue_micros', 'sale_amount_micros'],
    ],
    times: { at: 'at', click_at: 'click_at' },
    amounts: ['payout_micros', 'revenue_micros', 'sale_amount_micros'],
  },
}

/** Columns that kept rows of a table have. */
export const keptColumns = (table: FactTable): ReadonlySet<string> =>
  new Set([...keptFacts[table].keys, ...Object.keys(keptFacts[table].times), ...keptFacts[table].amounts])

/** The statement that keeps rows of a table.
 * @param where which rows, over the raw columns
 */
export function keepRowsSql(table: FactTable, retirementId: bigint, where: string): string {
  const { table: into, keys, times } = keptFacts[table]
  const timeNames = Object.keys(times)
  const groups = [...timeNames.map((name) => `kept_${name}`), ...keys].join(', ')
  const rounded = Object.entries(times).map(([name, sql]) => `${sql} AS kept_${name}`)
  const columns = [...timeNames, ...keys]
  if (table !== 'clicks') {
    // Rows that take back stay apart from those that give: their group stays where both are zero together.
    const signed = table === 'conversions'
    return `INSERT INTO ${into} (retirement_id, ${columns.join(', ')}, sign)
SELECT ${retirementId}, ${groups}, ${signed ? 'sum(toInt64(sign))' : 'toInt64(count())'} FROM (
  SELECT ${[...rounded, ...keys, ...(signed ? ['sign'] : [])].join(', ')} FROM ${table} WHERE ${where}
) GROUP BY ${groups}${signed ? ', sign' : ''}`
  }
  // A cost is a property of its click: the clicks of a group that have one share their sum, so that it is the same as before,
  // and as many as before have one.
  return `INSERT INTO ${into} (retirement_id, ${columns.join(', ')}, sign, cost_micros)
SELECT ${retirementId}, ${groups}, part.1, part.2 FROM (
  SELECT ${groups}, toInt64(count()) AS n, toInt64(countIf(cost_micros != 0)) AS paid, sum(cost_micros) AS total,
    intDiv(total, greatest(paid, 1)) AS each
  FROM (SELECT ${[...rounded, ...keys, 'cost_micros'].join(', ')} FROM clicks WHERE ${where})
  GROUP BY ${groups}
) ARRAY JOIN [(n - paid, toInt64(0)), (greatest(paid - 1, 0), each), (toInt64(paid > 0), total - each * greatest(paid - 1, 0))] AS part
WHERE part.1 != 0`
}

/** Sums that raw rows and what is kept of them have in common, as one text.
 * @param sign what a row counts for: `1` for raw clicks and events
 */
export function sumsSql(table: FactTable, sign: string): string {
  const sums = keptFacts[table].amounts.map((amount) => `sum(toInt128(${sign}) * ${amount})`)
  return `concat(${[`sum(toInt64(${sign}))`, ...sums].map((sum) => `toString(${sum})`).join(`, '/', `)}, '')`
}

/** What a raw row of a table counts for. */
export const rawSign = (table: FactTable): string => (table === 'conversions' ? 'sign' : '1')
