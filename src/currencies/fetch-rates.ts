import type { Clock } from '#platform/clock'
import type { LogLines } from '#platform/log-lines'
import { repeat, type Repeated } from '#platform/loops'
import type { Pool } from '#platform/postgres'

import { guessFormat, readRates } from './read-rates.ts'
import { storeRates } from './store.ts'

export type RateFetchOptions = {
  readonly pool: Pool
  readonly clock: Clock
  readonly logLines: LogLines
  /** Where a file of rates is, in a format of readRates; rates are to the base EUR. */
  readonly url: string
  /** Between two looks whether it is time; ten minutes unless given. */
  readonly intervalMs?: number
}

/** How the fetch of rates goes. */
export type RateFetchState = {
  readonly tried_at: Date
  /** Of the last that went well; null: none did. */
  readonly succeeded_at: Date | null
  /** Rates that the last one brought that were new. */
  readonly stored: number | null
  readonly newest_day: string | null
  /** Why the last one failed; null: it did not. */
  readonly problem: string | null
}

const DAY_MS = 86_400_000
const RETRY_MS = 3_600_000
const INTERVAL_MS = 600_000
const ANSWER_MS_MAX = 60_000
const ANSWER_BYTES_MAX = 16_777_216

const STATE = `SELECT tried_at, succeeded_at, stored, newest_day::text AS newest_day, problem FROM exchange_rate_fetches`
const NOTE_SUCCESS = `
  INSERT INTO exchange_rate_fetches (tried_at, succeeded_at, stored, newest_day) VALUES ($1, $1, $2, $3)
  ON CONFLICT (is_only) DO UPDATE SET tried_at = $1, succeeded_at = $1, stored = $2, newest_day = $3, problem = NULL`
const NOTE_PROBLEM = `
  INSERT INTO exchange_rate_fetches (tried_at, problem) VALUES ($1, $2)
  ON CONFLICT (is_only) DO UPDATE SET tried_at = $1, problem = $2`

/** How the last fetch went; undefined: there was none. */
export const readFetchState = async (pool: Pool): Promise<RateFetchState | undefined> =>
  (await pool.query<RateFetchState>(STATE)).rows[0]

/** Fetches rates and stores them, and notes how it went. An answer that is late, too long or no file of rates is a problem that is noted;
 * what is stored already stays.
 * @returns the problem; undefined: it went well
 */
export async function fetchRatesOnce({ pool, clock, url }: RateFetchOptions): Promise<string | undefined> {
  const at = new Date(clock.now())
  const text = await download(url)
  const read = typeof text === 'string' ? readRates(text, guessFormat(text)) : undefined
  const problem =
    typeof text !== 'string' ? text.problem : read?.kind === 'invalid' ? `line ${read.line}: ${read.detail}` : undefined
  if (read?.kind !== 'rates') {
    await pool.query(NOTE_PROBLEM, [at, problem])
    return problem
  }
  const { stored } = await storeRates(pool, 'EUR', read.rates, { source: new URL(url).host, by: 'the daily fetch' })
  const newest = read.rates.reduce<string | null>((last, { day }) => (last === null || day > last ? day : last), null)
  await pool.query(NOTE_SUCCESS, [at, stored, newest])
  return undefined
}

async function download(url: string): Promise<string | { readonly problem: string }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
    if (!response.ok) return { problem: `it answers with the status ${response.status}` }
    const parts: Uint8Array[] = []
    let bytes = 0
    for await (const part of response.body ?? []) {
      bytes += part.length
      if (bytes > ANSWER_BYTES_MAX) return { problem: `the answer has more than ${ANSWER_BYTES_MAX} bytes` }
      parts.push(part)
    }
    return Buffer.concat(parts).toString('utf8')
  } catch (error) {
    const { name, cause } = error as Error
    return { problem: name === 'TimeoutError' ? `no whole answer within ${ANSWER_MS_MAX / 1_000} s` : `it cannot be reached: ${String((cause as Error | undefined)?.message ?? error)}` } // prettier-ignore
  }
}

/** Fetches rates once a day, after a failure once an hour. */
export function fetchRatesDaily(options: RateFetchOptions): Repeated {
  const { pool, clock, logLines, intervalMs = INTERVAL_MS } = options
  const fetchWhenDue = async (): Promise<void> => {
    const state = await readFetchState(pool)
    const waitMs = state?.problem === null ? DAY_MS : RETRY_MS
    if (state !== undefined && clock.now() - state.tried_at.getTime() < waitMs) return
    const problem = await fetchRatesOnce(options)
    if (problem !== undefined) logLines.warn({ problem }, 'Exchange rates cannot be fetched.')
  }
  return repeat(fetchWhenDue, {
    ...{ logLines, intervalMs },
    failed: 'Exchange rates cannot be stored.',
    recovered: 'Exchange rates are stored again.',
  })
}
