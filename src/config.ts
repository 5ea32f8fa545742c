/** The only reader of the environment: parsed once at the start, then plain values. */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import ipaddr from 'ipaddr.js'

import { WaypostError } from '#platform/errors'

export type Config = {
  /** Absolute path. */
  readonly dataDir: string
  /** Where the command was called: npm itself changes to the directory of package.json. Absolute path. */
  readonly callDir: string
  readonly edgeHost: string
  /** 0 takes any free port. */
  readonly edgePort: number
  /** Threads of the edge that take requests. */
  readonly edgeThreads: number
  readonly deliveryThreads: number
  readonly apiHost: string
  readonly apiPort: number
  /** Of health and metrics in a process without the API; 0 takes any free port. */
  readonly metricsHost: string
  readonly metricsPort: number
  /** An owner's API key that exists after the start. */
  readonly apiKey: string | undefined
  /** What secrets in the database are sealed with: base64 of 32 bytes, the newest first; empty: keys of the data directory. */
  readonly secretKeys: readonly string[]
  /** An HTTP proxy that opens tunnels (CONNECT), with its user and password. */
  readonly postbackProxy: URL | undefined
  /** Outbound postbacks under way to one host and port, of each delivery process. */
  readonly postbackHostConcurrency: number
  /** Where a file of exchange rates is fetched once a day; undefined: nowhere. */
  readonly ratesUrl: string | undefined
  /** Engines of the operator's own instead of the embedded ones. */
  readonly databaseUrl: string | undefined
  readonly clickhouseUrl: string | undefined
  /** Keys that an event's sub2 may use. */
  readonly sub2AllowedKeys: readonly string[]
  /** Addresses or CIDR blocks whose X-Forwarded-For and CF-Connecting-IP are believed. */
  readonly trustedProxies: readonly string[]
  readonly logLevel: LogLevel
  /** How long the event log is kept. */
  readonly logRetention: { readonly minAgeMs: number; readonly maxAgeMs: number; readonly maxBytes: number }
  /** How long a click can be found by its id for events and postbacks. */
  readonly clickIndexDays: number
  /** How long what is known of outbound postbacks is kept: messages, and attempts in PostgreSQL and then in ClickHouse. */
  readonly deliveryRetention: {
    readonly deliveryDays: number
    readonly attemptDays: number
    readonly archiveDays: number
  }
  /** How long raw facts are kept unless an advertiser says otherwise; undefined: for ever. */
  readonly rawDays: number | undefined
  /** Where they go before they are dropped. */
  readonly rawArchive: 'none' | 'files' | 's3'
  /** Storage for archives; undefined: there is none. */
  readonly s3: S3Config | undefined
  /** Guards that the fault run switches off to show that it notices; empty in every other run. */
  readonly faultGuardsOff: ReadonlySet<FaultGuard>
  /** What looks like a mistake and is not used, one sentence each. */
  readonly warnings: readonly string[]
}

/** Storage that speaks S3. */
export type S3Config = {
  /** http(s)://host:port, without the bucket. */
  readonly endpoint: string
  readonly bucket: string
  /** In front of every path: empty, or ending in a slash. */
  readonly prefix: string
  readonly accessKey: string
  readonly secretKey: string
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** What keeps the numbers right through a crash; `npm run faults -- --without <guard>` turns red without it.
 * flush: the edge answers after the record is on the disk. token: inserts into the facts carry a deduplication token.
 * position: the place in the log moves in the transaction of what was made of it. fence: a worker whose lease was lost
 * decides nothing. outbox: postbacks are enqueued in the transaction of their conversion.
 */
export const faultGuards = ['flush', 'token', 'position', 'fence', 'outbox'] as const
export type FaultGuard = (typeof faultGuards)[number]

export type Environment = Readonly<Record<string, string | undefined>>

const EDGE_THREADS_MAX = 64
/** All that a process has under way: above it, the limit says nothing. */
const HOST_CONCURRENCY_MAX = 512
/** Beyond it, memory is better spent on the engines. */
const EDGE_THREADS_AUTO_MAX = 8

/** Each has connections to PostgreSQL, whose embedded server takes 60 in all. */
const DELIVERY_THREADS_MAX = 4
/** Two fill two processors, with the database and receivers on them; more would each make smaller groups of what they read and write.
 * @see docs/adr/2026-11-21-delivery-threads.md
 */
const automaticDeliveryThreads = (): number => Math.min(availableParallelism(), 2)

/** Every variable, what it is for and its value when it is not set. docs/operations.md has the same table; a test compares them. */
export const environmentVariables = {
  WAYPOST_DATA_DIR: { purpose: 'directory of everything that Waypost keeps', otherwise: './data' },
  WAYPOST_EDGE_HOST: { purpose: 'address that the edge listens on', otherwise: '0.0.0.0' },
  WAYPOST_EDGE_PORT: { purpose: 'port of clicks, events, postbacks and the snippet', otherwise: '8080' },
  WAYPOST_EDGE_THREADS: {
    purpose: `threads of the edge that take requests, 1 to ${EDGE_THREADS_MAX}; \`auto\`: one for each processor, at most ${EDGE_THREADS_AUTO_MAX}`,
    otherwise: 'auto',
  },
  WAYPOST_DELIVERY_THREADS: {
    purpose: `threads that send postbacks, 1 to ${DELIVERY_THREADS_MAX}; \`auto\`: two, or one on a single processor`,
    otherwise: 'auto',
  },
  WAYPOST_API_HOST: { purpose: 'address that the API listens on', otherwise: '127.0.0.1' },
  WAYPOST_API_PORT: { purpose: 'port of the API', otherwise: '8081' },
  WAYPOST_METRICS_HOST: {
    purpose: 'address that health and metrics listen on in a process without the API',
    otherwise: '127.0.0.1',
  },
  WAYPOST_METRICS_PORT: { purpose: 'port of health and metrics there; 0: any that is free', otherwise: '8082' },
  WAYPOST_API_KEY: { purpose: "an owner's API key that exists after the start", otherwise: '' },
  WAYPOST_SECRET_KEY: {
    purpose:
      'seals the secrets in the database: base64 of 32 bytes; a comma and the one before it while it is replaced. Not set: `secret-keys.json` in the data directory',
    otherwise: '',
  },
  WAYPOST_POSTBACK_PROXY: {
    purpose:
      'HTTP proxy for outbound postbacks, which opens tunnels (CONNECT), as `http://user:password@host:port`; an endpoint may say otherwise',
    otherwise: '',
  },
  WAYPOST_POSTBACK_HOST_CONCURRENCY: {
    purpose: `outbound postbacks under way to one host and port at most, of each process that delivers, 1 to ${HOST_CONCURRENCY_MAX}`,
    otherwise: '64',
  },
  WAYPOST_RATES_URL: {
    purpose: 'where a file of [exchange rates](costs.md#exchange-rates) is fetched once a day; not set: nowhere',
    otherwise: '',
  },
  DATABASE_URL: { purpose: 'PostgreSQL 17 or newer to use instead of the embedded one', otherwise: '' },
  CLICKHOUSE_URL: { purpose: 'ClickHouse to use instead of the embedded one', otherwise: '' },
  SUB2_ALLOWED_KEYS: {
    purpose: 'keys that sub2 of an event may use, comma-separated',
    otherwise: 'geo,dev,src,adset,lang,tier,abtest,campaign,creative,placement',
  },
  WAYPOST_TRUSTED_PROXIES: {
    purpose:
      'addresses or CIDR blocks of proxies whose forwarding headers are believed, comma-separated; `none`: no one',
    // The usual installation has its proxy on the same machine; from outside nobody can come from these addresses.
    otherwise: '127.0.0.1,::1',
  },
  WAYPOST_LOG_LEVEL: { purpose: `least severe log line written: ${LOG_LEVELS.join(', ')}`, otherwise: 'info' },
  WAYPOST_LOG_MIN_HOURS: { purpose: 'hours that the event log is kept whatever its size', otherwise: '24' },
  WAYPOST_LOG_MAX_DAYS: { purpose: 'days after which the event log is dropped', otherwise: '30' },
  WAYPOST_LOG_MAX_GB: { purpose: 'gigabytes above which the oldest of the event log is dropped', otherwise: '50' },
  WAYPOST_CLICK_INDEX_DAYS: { purpose: 'days that a click can be found by its id', otherwise: '90' },
  WAYPOST_DELIVERY_DAYS: {
    purpose: 'days that outbound postbacks are kept with how they ended, at least 30; what still waits stays',
    otherwise: '30',
  },
  WAYPOST_ATTEMPT_DAYS: { purpose: 'days that their attempts stay in PostgreSQL', otherwise: '7' },
  WAYPOST_ATTEMPT_ARCHIVE_DAYS: { purpose: 'days that their attempts are kept in ClickHouse', otherwise: '180' },
  WAYPOST_RAW_DAYS: {
    purpose:
      'days that raw facts are kept, 7 to 3650; aggregates stay. An advertiser may say otherwise (`retention`). Not set: for ever',
    otherwise: '',
  },
  WAYPOST_RAW_ARCHIVE: {
    purpose:
      'where raw facts go before they are dropped: `none`, `files` (in the data directory; not with CLICKHOUSE_URL) or `s3`',
    otherwise: 'none',
  },
  WAYPOST_S3_ENDPOINT: {
    purpose: 'storage for archives, as `https://host:port`. Not set: that of Amazon in WAYPOST_S3_REGION',
    otherwise: '',
  },
  WAYPOST_S3_REGION: { purpose: 'region of the bucket where no endpoint is set', otherwise: 'us-east-1' },
  WAYPOST_S3_BUCKET: { purpose: 'bucket of archives; not set: there is no such storage', otherwise: '' },
  WAYPOST_S3_PREFIX: { purpose: 'in front of all paths in the bucket', otherwise: '' },
  WAYPOST_S3_ACCESS_KEY: { purpose: 'access key of the storage', otherwise: '' },
  WAYPOST_S3_SECRET_KEY: { purpose: 'secret key of the storage', otherwise: '' },
  WAYPOST_FAULT_GUARDS_OFF: {
    purpose: `never set it: guards that a fault run switches off to see numbers go wrong (${faultGuards.join(', ')})`,
    otherwise: '',
  },
} as const satisfies Record<string, { readonly purpose: string; readonly otherwise: string }>

type Variable = keyof typeof environmentVariables

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const GIGABYTE = 1_000_000_000

/** Reads the configuration of the process.
 * @throws {WaypostError} environment_invalid: the first variable whose value cannot be used, and what would be one
 */
export function readConfig(environment: Environment = process.env): Config {
  const text = (name: Variable): string => environment[name]?.trim() || environmentVariables[name].otherwise
  const integer = (name: Variable, min: number, max: number): number => parseInteger(name, text(name), min, max)
  const list = (name: Variable): readonly string[] => splitList(text(name))

  const config: Config = {
    dataDir: resolve(text('WAYPOST_DATA_DIR')),
    callDir: resolve(environment['INIT_CWD'] ?? '.'),
    edgeHost: parseHost('WAYPOST_EDGE_HOST', text('WAYPOST_EDGE_HOST')),
    edgePort: integer('WAYPOST_EDGE_PORT', 0, 65_535),
    edgeThreads: parseEdgeThreads(text('WAYPOST_EDGE_THREADS')),
    deliveryThreads: parseDeliveryThreads(text('WAYPOST_DELIVERY_THREADS')),
    apiHost: parseHost('WAYPOST_API_HOST', text('WAYPOST_API_HOST')),
    apiPort: integer('WAYPOST_API_PORT', 0, 65_535),
    metricsHost: parseHost('WAYPOST_METRICS_HOST', text('WAYPOST_METRICS_HOST')),
    metricsPort: integer('WAYPOST_METRICS_PORT', 0, 65_535),
    apiKey: parseApiKey(text('WAYPOST_API_KEY')),
    secretKeys: list('WAYPOST_SECRET_KEY').map(parseSecretKey),
    postbackProxy: parsePostbackProxy(text('WAYPOST_POSTBACK_PROXY')),
    postbackHostConcurrency: integer('WAYPOST_POSTBACK_HOST_CONCURRENCY', 1, HOST_CONCURRENCY_MAX),
    ratesUrl: parseUrl('WAYPOST_RATES_URL', text('WAYPOST_RATES_URL'), ['http:', 'https:']),
    databaseUrl: parseUrl('DATABASE_URL', text('DATABASE_URL'), ['postgres:', 'postgresql:']),
    clickhouseUrl: parseUrl('CLICKHOUSE_URL', text('CLICKHOUSE_URL'), ['http:', 'https:']),
    sub2AllowedKeys: list('SUB2_ALLOWED_KEYS').map(parseSub2Key),
    trustedProxies: parseTrustedProxies(list('WAYPOST_TRUSTED_PROXIES')),
    logLevel: parseLogLevel(text('WAYPOST_LOG_LEVEL')),
    logRetention: {
      minAgeMs: integer('WAYPOST_LOG_MIN_HOURS', 1, 87_600) * HOUR_MS,
      maxAgeMs: integer('WAYPOST_LOG_MAX_DAYS', 1, 3_650) * DAY_MS,
      maxBytes: integer('WAYPOST_LOG_MAX_GB', 1, 1_000_000) * GIGABYTE,
    },
    clickIndexDays: integer('WAYPOST_CLICK_INDEX_DAYS', 1, 3_650),
    deliveryRetention: {
      // Whoever asks what happened, or has to send it again, often comes only with the month's bill.
      deliveryDays: integer('WAYPOST_DELIVERY_DAYS', 30, 3_650),
      attemptDays: integer('WAYPOST_ATTEMPT_DAYS', 1, 3_650),
      archiveDays: integer('WAYPOST_ATTEMPT_ARCHIVE_DAYS', 1, 3_650),
    },
    rawDays: text('WAYPOST_RAW_DAYS') === '' ? undefined : integer('WAYPOST_RAW_DAYS', 7, 3_650),
    rawArchive: parseArchive(text('WAYPOST_RAW_ARCHIVE')),
    s3: parseS3(text),
    faultGuardsOff: new Set(list('WAYPOST_FAULT_GUARDS_OFF').map(parseFaultGuard)),
    warnings: [...warnOfUnknown(environment), ...warnOfGuards(text('WAYPOST_FAULT_GUARDS_OFF'))],
  }
  checkTogether(config)
  return config
}

/** Address of the PostgreSQL that the test runner started for the whole run; undefined when a test file runs by itself. */
export const testPostgresUrl = (): string | undefined => process.env[TEST_POSTGRES_URL]
const TEST_POSTGRES_URL = 'WAYPOST_TEST_POSTGRES_URL'

/** Directory of migrated facts that the test runner made for the whole run; undefined when a test file runs by itself. */
export const testFactsTemplate = (): string | undefined => process.env[TEST_FACTS_TEMPLATE]
const TEST_FACTS_TEMPLATE = 'WAYPOST_TEST_FACTS_TEMPLATE'
const testVariables: ReadonlySet<string> = new Set([TEST_POSTGRES_URL, TEST_FACTS_TEMPLATE])

/** The environment for a process that this one starts: ours with some variables set. */
export const childEnvironment = (changes: Environment): NodeJS.ProcessEnv => ({ ...process.env, ...changes })

function refuse(name: Variable, value: string, wanted: string): never {
  throw new WaypostError('environment_invalid', `${name}=${value}: ${wanted}`)
}

function parseInteger(name: Variable, value: string, min: number, max: number): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
  return number >= min && number <= max ? number : refuse(name, value, `must be a whole number from ${min} to ${max}.`)
}

/** Whether the threads and processes of the edge can listen on one port: by SO_REUSEPORT, and only Linux is known to deal out
 * connections evenly over it.
 */
export const canSharePort = process.platform === 'linux'

function parseEdgeThreads(value: string): number {
  if (value === 'auto') return canSharePort ? Math.min(availableParallelism(), EDGE_THREADS_AUTO_MAX) : 1
  const threads = parseInteger('WAYPOST_EDGE_THREADS', value, 1, EDGE_THREADS_MAX)
  return threads === 1 || canSharePort ? threads : refuse('WAYPOST_EDGE_THREADS', value, 'more than 1 needs Linux.')
}

const parseDeliveryThreads = (value: string): number =>
  value === 'auto'
    ? automaticDeliveryThreads()
    : parseInteger('WAYPOST_DELIVERY_THREADS', value, 1, DELIVERY_THREADS_MAX)

function parseHost(name: Variable, value: string): string {
  return value === 'localhost' || ipaddr.isValid(value)
    ? value
    : refuse(name, value, 'must be an IP address or localhost.')
}

/** The value is not repeated: it is a secret. */
function parseApiKey(value: string): string | undefined {
  if (value === '') return undefined
  return /^[\x21-\x7e]{1,200}$/.test(value)
    ? value
    : refuse('WAYPOST_API_KEY', '…', 'must be 1 to 200 visible ASCII characters without spaces.')
}

/** The value is not repeated: it is a secret. */
function parseSecretKey(value: string): string {
  const isKey = /^[A-Za-z0-9+/]{43}=$/.test(value) && Buffer.from(value, 'base64').length === 32
  return isKey ? value : refuse('WAYPOST_SECRET_KEY', '…', 'must be 32 bytes in base64: openssl rand -base64 32.')
}

/** The value is not repeated: it may hold a password. */
function parsePostbackProxy(value: string): URL | undefined {
  if (value === '') return undefined
  const url = URL.parse(value)
  return url?.protocol === 'http:' &&
    url.hostname !== '' &&
    url.pathname === '/' &&
    url.search === '' &&
    isDecodable(url)
    ? url
    : refuse('WAYPOST_POSTBACK_PROXY', '…', 'must be a URL like http://user:password@host:port.')
}

function isDecodable({ username, password }: URL): boolean {
  try {
    return decodeURIComponent(username + password) !== undefined
  } catch {
    return false
  }
}

/** The value is not repeated: it may hold a password. */
function parseUrl(name: Variable, value: string, protocols: readonly string[]): string | undefined {
  if (value === '') return undefined
  const url = URL.parse(value)
  return url !== null && url.hostname !== '' && protocols.includes(url.protocol)
    ? value
    : refuse(name, '…', `must be a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}.`)
}

function parseArchive(value: string): Config['rawArchive'] {
  const known = (['none', 'files', 's3'] as const).find((one) => one === value)
  return known ?? refuse('WAYPOST_RAW_ARCHIVE', value, 'must be none, files or s3.')
}

function parseS3(text: (name: Variable) => string): S3Config | undefined {
  const bucket = text('WAYPOST_S3_BUCKET')
  if (bucket === '') return undefined
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    return refuse('WAYPOST_S3_BUCKET', bucket, 'must be the name of a bucket.')
  const region = text('WAYPOST_S3_REGION')
  if (!/^[a-z0-9-]{1,40}$/.test(region)) return refuse('WAYPOST_S3_REGION', region, 'must be like eu-central-1.')
  const endpoint = text('WAYPOST_S3_ENDPOINT').replace(/\/$/, '') || `https://s3.${region}.amazonaws.com`
  const url = URL.parse(endpoint)
  if (url === null || !/^https?:$/.test(url.protocol) || url.origin !== endpoint)
    return refuse('WAYPOST_S3_ENDPOINT', '…', 'must be like https://host:port, without a path or user.')
  const prefix = text('WAYPOST_S3_PREFIX').replace(/\/$/, '')
  if (!/^[A-Za-z0-9_.-]*(\/[A-Za-z0-9_.-]+)*$/.test(prefix))
    return refuse('WAYPOST_S3_PREFIX', prefix, 'must be of letters, digits, dots, dashes and slashes between.')
  const [accessKey, secretKey] = [text('WAYPOST_S3_ACCESS_KEY'), text('WAYPOST_S3_SECRET_KEY')]
  if (!/^[\x21-\x7e]{1,200}$/.test(accessKey)) return refuse('WAYPOST_S3_ACCESS_KEY', '…', 'goes with the bucket.')
  if (!/^[\x21-\x7e]{1,200}$/.test(secretKey)) return refuse('WAYPOST_S3_SECRET_KEY', '…', 'goes with the bucket.')
  return { endpoint, bucket, prefix: prefix === '' ? '' : `${prefix}/`, accessKey, secretKey }
}

function parseSub2Key(key: string): string {
  return /^[A-Za-z0-9_]{1,50}$/.test(key)
    ? key
    : refuse('SUB2_ALLOWED_KEYS', key, 'a key has 1 to 50 letters, digits or underscores.')
}

const parseTrustedProxies = (blocks: readonly string[]): readonly string[] =>
  blocks.length === 1 && blocks[0] === 'none' ? [] : blocks.map(parseAddressBlock)

function parseAddressBlock(block: string): string {
  return ipaddr.isValid(block) || ipaddr.isValidCIDR(block)
    ? block
    : refuse('WAYPOST_TRUSTED_PROXIES', block, 'must be IP addresses or CIDR blocks such as 10.0.0.0/8.')
}

function parseFaultGuard(value: string): FaultGuard {
  const guard = faultGuards.find((known) => known === value)
  return guard ?? refuse('WAYPOST_FAULT_GUARDS_OFF', value, `must be of ${faultGuards.join(', ')}.`)
}

const warnOfGuards = (off: string): readonly string[] =>
  off === '' ? [] : [`WAYPOST_FAULT_GUARDS_OFF=${off}: records, money and postbacks WILL be lost or counted twice.`]

function parseLogLevel(value: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === value)
  return level ?? refuse('WAYPOST_LOG_LEVEL', value, `must be one of ${LOG_LEVELS.join(', ')}.`)
}

function checkTogether(config: Config): void {
  if (config.edgePort === config.apiPort && config.edgePort !== 0) {
    refuse('WAYPOST_API_PORT', String(config.apiPort), 'must differ from WAYPOST_EDGE_PORT.')
  }
  if (config.logRetention.minAgeMs > config.logRetention.maxAgeMs) {
    const hours = String(config.logRetention.minAgeMs / HOUR_MS)
    refuse('WAYPOST_LOG_MIN_HOURS', hours, 'must not be longer than WAYPOST_LOG_MAX_DAYS.')
  }
  const { attemptDays, deliveryDays, archiveDays } = config.deliveryRetention
  if (attemptDays > Math.min(deliveryDays, archiveDays)) {
    const wanted = 'must not be longer than WAYPOST_DELIVERY_DAYS and WAYPOST_ATTEMPT_ARCHIVE_DAYS.'
    refuse('WAYPOST_ATTEMPT_DAYS', String(attemptDays), wanted)
  }
}

function warnOfUnknown(environment: Environment): readonly string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('WAYPOST_') && !testVariables.has(name) && !(name in environmentVariables))
    .map((name) => `${name} is set and means nothing to Waypost; see docs/operations.md.`)
}

const splitList = (text: string): readonly string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
