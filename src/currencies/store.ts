import { inTransaction, type Pool, type Tx } from '#platform/postgres'

import { factorOf, parseRate, RATE_DECIMALS } from './rates.ts'
import type { GivenRate } from './read-rates.ts'

export type StoreOutcome = { readonly stored: number; readonly unchanged: number }

const PER_STATEMENT = 20_000

/** The last rate of a day and currency in a call counts. One that is as the newest that is kept is not stored again. */
const STORE = `
  WITH given AS (
    SELECT DISTINCT ON (day, currency) day, currency, rate
    FROM unnest($1::date[], $2::text[], $3::numeric[]) WITH ORDINALITY AS g (day, currency, rate, no)
    ORDER BY day, currency, no DESC
  ), stored AS (
    INSERT INTO exchange_rates (base, currency, day, rate, source, stored_by)
    SELECT $4, g.currency, g.day, g.rate, $5, $6 FROM given g
    WHERE g.rate IS DISTINCT FROM (
      SELECT r.rate FROM exchange_rates r WHERE r.base = $4 AND r.currency = g.currency AND r.day = g.day
      ORDER BY r.rate_id DESC LIMIT 1)
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM stored)::integer AS stored, (SELECT count(*) FROM given)::integer AS given`

/** Two imports at once would both find a rate new. */
const LOCK = `SELECT pg_advisory_xact_lock(hashtext('exchange_rates'))`

/** Keeps rates: those that differ from what is kept are further rows, nothing is overwritten. All or nothing.
 * Rates of the base to itself are left out: they are 1.
 * @param origin.by who stores them, for a person
 */
export async function storeRates(
  pool: Pool,
  base: string,
  rates: readonly GivenRate[],
  origin: { readonly source: string; readonly by: string },
): Promise<StoreOutcome> {
  const wanted = rates.filter(({ currency }) => currency !== base)
  return inTransaction(pool, async (tx) => {
    await tx.query(LOCK)
    let stored = 0
    let unchanged = 0
    for (let from = 0; from < wanted.length; from += PER_STATEMENT) {
      const part = wanted.slice(from, from + PER_STATEMENT)
      const { rows } = await tx.query<{ stored: number; given: number }>(STORE, [
        part.map(({ day }) => day),
        part.map(({ currency }) => currency),
        part.map(({ rate }) => decimalText(rate)),
        ...[base, origin.source, origin.by],
      ])
      stored += rows[0]!.stored
      unchanged += rows[0]!.given - rows[0]!.stored
    }
    return { stored, unchanged }
  })
}

const decimalText = (rate: bigint): string => `${rate}e-${RATE_DECIMALS}`

export type KeptRate = {
  readonly base: string
  readonly currency: string
  readonly day: string
  /** Decimal text. */
  readonly rate: string
  readonly source: string
  readonly stored_by: string
  readonly stored_at: Date
  /** Rates that it took the place of. */
  readonly versions: number
}

export type RateQuestion = {
  readonly currency?: string | undefined
  readonly base?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly asOf?: Date | undefined
  readonly limit: number
}

const LIST = `
  SELECT DISTINCT ON (day, base, currency) base, currency, day::text AS day, trim_scale(rate)::text AS rate, source, stored_by, stored_at,
    count(*) OVER (PARTITION BY day, base, currency)::integer AS versions
  FROM exchange_rates
  WHERE ($1::text IS NULL OR currency = $1) AND ($2::text IS NULL OR base = $2) AND ($3::date IS NULL OR day >= $3)
    AND ($4::date IS NULL OR day <= $4) AND ($5::timestamptz IS NULL OR stored_at <= $5)
  ORDER BY day DESC, base, currency, rate_id DESC LIMIT $6`

/** The rates that count, the newest day first. */
export async function listRates(pool: Pool, question: RateQuestion): Promise<readonly KeptRate[]> {
  const { currency, base, from, to, asOf, limit } = question
  const { rows } = await pool.query<KeptRate>(LIST, [currency, base, from, to, asOf, limit])
  return rows
}

/** A rate of the last days counts for a day without one: banks make none at weekends and on holidays, and the longest such gap of the
 * European Central Bank is five days.
 */
export const RATE_AGE_DAYS_MAX = 7

const FIND = `
  SELECT DISTINCT ON (base, currency, day) base, currency, day::text AS day, rate::text AS rate
  FROM exchange_rates
  WHERE (currency = ANY($1) OR base = ANY($1)) AND day >= $2::date - ${RATE_AGE_DAYS_MAX} AND day <= $3
    AND ($4::timestamptz IS NULL OR stored_at <= $4)
  ORDER BY base, currency, day, rate_id DESC`

type FoundRate = { readonly base: string; readonly currency: string; readonly day: string; readonly rate: string }

/** What amounts of a day are multiplied with, by currency and day. */
export type Factors = {
  /** In units of 10^-18; undefined: there is no rate for that day. @param day YYYY-MM-DD, UTC */
  readonly find: (currency: string, day: string) => bigint | undefined
}

export type FactorQuestion = {
  readonly currencies: readonly string[]
  readonly target: string
  /** Days, YYYY-MM-DD, both included. */
  readonly from: string
  readonly to: string
  /** Rates that were stored later do not count; left out: all do. */
  readonly asOf?: Date | undefined
}

/** Reads the rates between some currencies and one for some days. */
export async function readFactors(db: Pool | Tx, question: FactorQuestion): Promise<Factors> {
  const { currencies, target, from, to, asOf } = question
  const { rows } = await db.query<FoundRate>(FIND, [[...currencies, target], from, to, asOf])
  return new RateTable(rows, target)
}

const DAY_MS = 86_400_000
const dayNumber = (day: string): number => Date.parse(`${day}T00:00:00Z`) / DAY_MS

class RateTable implements Factors {
  readonly #rates = new Map<string, bigint>()
  readonly #bases: readonly string[]
  readonly #target: string

  constructor(rows: readonly FoundRate[], target: string) {
    for (const { base, currency, day, rate } of rows)
      this.#rates.set(`${base} ${currency} ${dayNumber(day)}`, parseRate(rate)!)
    this.#target = target
    const bases = [...new Set(rows.map(({ base }) => base))].sort()
    // Rates to the wanted currency itself need no quotient.
    this.#bases = [...bases.filter((base) => base === target), ...bases.filter((base) => base !== target)]
  }

  find(currency: string, day: string): bigint | undefined {
    const number = dayNumber(day)
    for (let age = 0; age <= RATE_AGE_DAYS_MAX; age++)
      for (const base of this.#bases) {
        const from = this.#rateOf(base, currency, number - age)
        const to = this.#rateOf(base, this.#target, number - age)
        if (from !== undefined && to !== undefined) return factorOf(from, to)
      }
    return undefined
  }

  #rateOf(base: string, currency: string, day: number): bigint | undefined {
    return base === currency ? 10n ** BigInt(RATE_DECIMALS) : this.#rates.get(`${base} ${currency} ${day}`)
  }
}
