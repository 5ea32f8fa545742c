import pg from 'pg'

export type Pool = pg.Pool
/** A connection with a transaction open on it. */
export type Tx = pg.PoolClient

const INT8 = 20
const INT8_ARRAY = 1016
const TEXT_ARRAY: number = 1009
const parseTextArray = pg.types.getTypeParser(TEXT_ARRAY) as (text: string) => (string | null)[]

/** Money and offsets are int8: as JS numbers they would lose digits above 2^53, as strings they would concatenate. */
const typeParsers: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8) return BigInt
    if (oid === INT8_ARRAY) return parseBigintArray
    return pg.types.getTypeParser(oid, format)
  },
}

const parseBigintArray = (text: string): (bigint | null)[] =>
  parseTextArray(text).map((item) => (item === null ? null : BigInt(item)))

/** A pool of connections. int8 arrives as bigint, timestamptz as Date, numeric as string, jsonb parsed.
 *
 * A broken connection is dropped and the next query opens a new one; the query that was running on it fails.
 * @param url postgres://user:password@host:port/database
 * @param options.max connections, default 10
 * @param options.statementTimeoutMs default 30 000; 0 for none
 * @param options.settings of each connection, by name
 */
export function createPool(
  url: string,
  options: {
    max?: number
    applicationName?: string
    statementTimeoutMs?: number
    settings?: Readonly<Record<string, string>>
  } = {},
): Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 10,
    application_name: options.applicationName ?? 'waypost',
    options: Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`).join(' '), // prettier-ignore
    types: typeParsers,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    // A transaction that was forgotten open would hold back vacuum and block migrations for ever.
    idle_in_transaction_session_timeout: 60_000,
  })
  // Without a listener a server that goes away would end the process: once for idle connections (the pool's event), once
  // for those in use between two queries (the client's). The failure itself reaches whoever asks the connection next.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

const CONNECTION_CODES: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'],
  // SQLSTATE: connection exceptions, admin/crash shutdown, cannot connect now, too many connections.
  ...['08000', '08001', '08003', '08004', '08006', '57P01', '57P02', '57P03', '53300'],
  // Nothing to work with: resources, disk, memory, an error of the disk. No statement is at fault, and each would fail.
  ...['53000', '53100', '53200', '58030'],
])
const CONNECTION_MESSAGES = /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered)/

/** Whether an error says that PostgreSQL cannot be reached, went away or has no space, so that trying again later may help. */
export function isConnectionFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof AggregateError) return error.errors.some(isConnectionFailure)
  const code = (error as NodeJS.ErrnoException).code
  return (code !== undefined && CONNECTION_CODES.has(code)) || CONNECTION_MESSAGES.test(error.message)
}
