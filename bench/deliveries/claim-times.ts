import type { Pool } from '#platform/postgres'

/** How long the claims of a worker took that found something, as the worker saw it, in milliseconds. */
export type ClaimTimes = { readonly times: Float64Array; readonly rows: number }

/** The statement that reads what is due. */
const CLAIM = /LATERAL[^]*FROM delivery_ready\b/

type Result = { readonly rowCount: number | null }
type Query = (...input: unknown[]) => unknown

/** Times the claims of everyone who uses the pool, on its connections themselves: waiting for a free one is no part of it.
 * Call it before the pool is used.
 * @returns gives what was timed since the last call
 */
export function timeClaims(pool: Pool): () => ClaimTimes {
  let times: number[] = []
  let rows = 0
  const note = (startedAt: number, result: Result | undefined): void => {
    const found = result?.rowCount ?? 0
    if (found === 0) return
    times.push(performance.now() - startedAt)
    rows += found
  }
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as Query
    client.query = ((...input: unknown[]) => {
      if (!CLAIM.test(textOf(input[0]))) return query(...input)
      return queryTimed(query, input, note)
    }) as typeof client.query
  })
  return () => {
    const taken = { times: Float64Array.from(times), rows }
    times = []
    rows = 0
    return taken
  }
}

/** pg is called with a callback by its own pool, and without one by others. */
function queryTimed(
  query: Query,
  input: unknown[],
  note: (startedAt: number, result: Result | undefined) => void,
): unknown {
  const startedAt = performance.now()
  const callback = input.at(-1)
  if (typeof callback === 'function') {
    const noted = (error: unknown, result: Result | undefined): void => {
      note(startedAt, result)
      ;(callback as (error: unknown, result: Result | undefined) => void)(error, result)
    }
    return query(...input.slice(0, -1), noted)
  }
  return (query(...input) as Promise<Result>).then((result) => {
    note(startedAt, result)
    return result
  })
}

function textOf(statement: unknown): string {
  if (typeof statement === 'string') return statement
  const text = (statement as { readonly text?: unknown } | undefined)?.text
  return typeof text === 'string' ? text : ''
}
