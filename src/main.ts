/** The command line: reads the configuration, picks the command, prints one clear line when something cannot be done. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { readConfig } from '#config'
import { KEEP_HOURS_MAX } from '#configuration'
import {
  applyFile,
  askReplay,
  cancelJobById,
  cancelReplayById,
  correctConversion,
  printReplays,
  runReplay,
  testEndpoint,
  printDeliveries,
  printEndpoints,
  printJobs,
  printLive,
  printWhyNot,
  doctor,
  explainUrl,
  exportToFile,
  inspectInstallationLog,
  listTemplates,
  onStopRequest,
  parseRoles,
  reconcileInstallation,
  roles,
  runConfigCommand,
  runCostsCommand,
  runRatesCommand,
  runEndpointsCommand,
  runSavedReportsCommand,
  runRetentionCommand,
  runSecretsCommand,
  serve,
  simulateFile,
  testRuleText,
  type EndpointsQuestion,
  type SavedReportsQuestion,
} from '#operations'
import { pausedObjects, replayLimits } from '#postbacks'

type Command = {
  readonly usage: string
  readonly summary: string
  /** @returns the exit code */
  readonly run: (args: string[]) => Promise<number>
}

/** The call itself is wrong. */
class UsageError extends Error {}

const EDGE_PROGRAM = [fileURLToPath(import.meta.url), 'serve', '--role', 'edge'] as const

const TEXT = { type: 'string' } as const

/** What explain and test-rule take of a visit, and of the configuration that they ask. */
const visitOptions = {
  ip: TEXT,
  'user-agent': TEXT,
  country: TEXT,
  language: TEXT,
  referrer: TEXT,
  at: TEXT,
  file: TEXT,
  version: TEXT,
} as const

/** What narrows postbacks on the command line. */
const deliveryOptions = { endpoint: TEXT, click: TEXT, conversion: TEXT, cause: TEXT, since: TEXT } as const

const deliveryFilter = (values: { readonly [name in keyof typeof deliveryOptions]?: string | undefined }) =>
  given({
    endpoint_id: values.endpoint,
    click_id: values.click,
    conversion_id: values.conversion,
    cause: values.cause,
    from: values.since === undefined ? undefined : sinceTime(values.since),
  })

const visitOf = (values: { readonly [name in keyof typeof visitOptions]?: string | undefined }) => ({
  visitor: given({ ip: values.ip, user_agent: values['user-agent'], country: values.country }),
  headers: given({ 'accept-language': values.language, referer: values.referrer }),
  at: values.at,
  file: values.file,
  version: versionOf(values.version),
})

const commands: Readonly<Record<string, Command>> = {
  serve: {
    usage: `serve [--role ${roles.join(',')}]`,
    summary: 'run everything, or only these roles of it',
    run: async (args) => {
      const { values } = parseArgs({ args, options: { role: { type: 'string', multiple: true } } })
      await serve(readConfig(), parseRoles(values.role ?? []), EDGE_PROGRAM)
      return 0
    },
  },
  apply: {
    usage: 'apply FILE [--dry-run]',
    summary: 'apply a YAML configuration wholly or refuse it wholly, and print the differences',
    run: async (args) => {
      const options = { 'dry-run': { type: 'boolean' } } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      if (positionals.length !== 1) throw new UsageError('apply takes one file.')
      return applyFile(readConfig(), positionals[0]!, { isDryRun: values['dry-run'] === true })
    },
  },
  config: {
    usage: 'config history [--limit 20] | show [VERSION] | diff FROM TO | restore VERSION [--yes]',
    summary: 'the versions of the configuration: who changed what, and how to put an earlier one in force again',
    run: async (args) => {
      const options = { limit: { type: 'string', default: '20' }, yes: { type: 'boolean', default: false } } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, ...rest] = positionals
      const [first, second] = rest.map((text) => wholeNumber('VERSION', text, 1, 2_147_483_647))
      const config = readConfig()
      if (verb === 'history' && rest.length === 0)
        return runConfigCommand(config, { verb, limit: wholeNumber('--limit', values.limit, 1, 100_000) })
      if (verb === 'show' && rest.length <= 1) return runConfigCommand(config, { verb, version: first })
      if (verb === 'diff' && rest.length === 2) return runConfigCommand(config, { verb, from: first!, to: second! })
      if (verb === 'restore' && rest.length === 1)
        return runConfigCommand(config, { verb, version: first!, isDryRun: !values.yes })
      throw new UsageError('config knows history, show [VERSION], diff FROM TO and restore VERSION.')
    },
  },
  templates: {
    usage: 'templates [NAME]',
    summary: 'the ready-made postbacks: how other systems want to be told of conversions',
    run: async (args) => {
      const { positionals } = parseArgs({ args, allowPositionals: true })
      if (positionals.length > 1) throw new UsageError('templates takes one name at most.')
      return listTemplates(positionals[0])
    },
  },
  endpoints: {
    usage:
      'endpoints show [ID] | test ID [--click ID | --conversion ID] | list | pause OBJECT ID [--note TEXT] | resume OBJECT ID | enable ID | recover ID --since TIME [--per-minute 600] [--yes] | rotate-secret ID [--keep-hours 24]',
    summary:
      'receivers of postbacks: with Waypost running what waits for them and how their tries went, and a test with its answer; those that fail or wait; pause and resume an endpoint, affiliate or advertiser, enable what was disabled, send what it missed, change its secret',
    run: async (args) => {
      const options = {
        note: TEXT,
        since: TEXT,
        'per-minute': TEXT,
        yes: { type: 'boolean' },
        click: TEXT,
        conversion: TEXT,
        'keep-hours': { ...TEXT, default: '24' },
      } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, id, ...rest] = positionals
      if (verb === 'show' && rest.length === 0) return printEndpoints(readConfig(), id)
      if (verb === 'test' && id !== undefined && rest.length === 0)
        return testEndpoint(readConfig(), id, given({ click_id: values.click, conversion_id: values.conversion }))
      return runEndpointsCommand(readConfig(), readEndpointsQuestion(positionals, values))
    },
  },
  explain: {
    usage:
      'explain URL [--ip ADDRESS] [--user-agent TEXT] [--country DE] [--language de] [--referrer URL] [--at TIME] [--version N] [--file FILE]',
    summary: 'with Waypost running: where a click on this link would go, and why; nothing is recorded',
    run: async (args) => {
      const { values, positionals } = parseArgs({ args, options: visitOptions, allowPositionals: true })
      if (positionals.length !== 1) throw new UsageError('explain takes one URL.')
      return explainUrl(readConfig(), { url: positionals[0]!, ...visitOf(values) })
    },
  },
  'test-rule': {
    usage:
      'test-rule RULE [URL] [the options of explain] | test-rule RULE --click CLICK_ID [--version N] [--file FILE]',
    summary: 'with Waypost running: whether a rule holds for a click, and which of its conditions do',
    run: async (args) => {
      const options = { ...visitOptions, click: { type: 'string' } } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [rule, url, ...rest] = positionals
      if (rule === undefined || rest.length > 0) throw new UsageError('test-rule takes a rule in quotes and one URL.')
      const { click: clickId, version: _version, file: _file, ...ofVisit } = values
      if (clickId !== undefined && (url !== undefined || Object.keys(ofVisit).length > 0))
        throw new UsageError('test-rule takes --click, or a URL and what is known of the visitor.')
      return testRuleText(readConfig(), { rule, url, clickId, ...visitOf(values) })
    },
  },
  simulate: {
    usage: 'simulate FILE --since 7d [--until TIME] [--clicks 200000] | simulate --version N --since 7d',
    summary: 'with Waypost running: where the clicks of a past period would have gone with another configuration',
    run: async (args) => {
      const text = { type: 'string' } as const
      const options = { since: text, until: text, clicks: text, version: text }
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      if ((positionals.length === 1) === (values.version !== undefined) || positionals.length > 1)
        throw new UsageError('simulate takes one file, or --version.')
      return simulateFile(readConfig(), {
        from: sinceTime(values.since),
        to: values.until,
        clicksMax: values.clicks === undefined ? undefined : wholeNumber('--clicks', values.clicks, 1, 1_000_000),
        file: positionals[0],
        version: versionOf(values.version),
      })
    },
  },
  deliveries: {
    usage:
      'deliveries [DELIVERY_ID] [--endpoint ID] [--click ID] [--conversion ID] [--state gave_up] [--status 500] [--error timeout] [--cause sale] [--since 7d] [--limit 50]',
    summary: 'with Waypost running: outbound postbacks, or one with its request and every try',
    run: async (args) => {
      const options = { ...deliveryOptions, state: TEXT, status: TEXT, error: TEXT, limit: TEXT } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      if (positionals.length > 1) throw new UsageError('deliveries takes one id at most.')
      const { state, status: http_status, error, limit } = values
      const filter = { ...deliveryFilter(values), ...given({ state, http_status, error, limit }) }
      return printDeliveries(readConfig(), positionals[0], filter)
    },
  },
  'why-not': {
    usage:
      'why-not [--endpoint ID] [--click ID] [--conversion ID] [--reason rule_not_met] [--cause sale] [--since 7d] [--limit 50]',
    summary: 'with Waypost running: postbacks that were not sent although an endpoint fits, and why',
    run: async (args) => {
      const { values } = parseArgs({ args, options: { ...deliveryOptions, reason: TEXT, limit: TEXT } })
      const { reason, limit } = values
      return printWhyNot(readConfig(), { ...deliveryFilter(values), ...given({ reason, limit }) })
    },
  },
  live: {
    usage:
      'live [--counts second,minute] [--rows clicks,events,conversions] [--of clicks] [--filter RULE] [--group-by offer_id] [--top 10] [--rate 10] [--seconds 60]',
    summary: 'with Waypost running: what happens at the moment, a message a line, for so many seconds or until Ctrl-C',
    run: async (args) => {
      const options = {
        counts: TEXT,
        rows: TEXT,
        of: TEXT,
        filter: TEXT,
        'group-by': TEXT,
        top: TEXT,
        rate: TEXT,
        seconds: TEXT,
      }
      const { values } = parseArgs({ args, options })
      const stopAsked = new AbortController()
      onStopRequest(
        () => stopAsked.abort(),
        () => process.exit(1),
      )
      const { 'group-by': group_by, seconds, ...rest } = values
      const stops = [stopAsked.signal]
      if (seconds !== undefined) stops.push(AbortSignal.timeout(wholeNumber('--seconds', seconds, 1, 86_400) * 1_000))
      return printLive(readConfig(), given({ ...rest, group_by }), AbortSignal.any(stops))
    },
  },
  'saved-reports': {
    usage:
      "saved-reports list | save NAME --query 'group_by=country&metrics=clicks' [--range last_7_days] [--folder NAME] | run ID | schedule ID --cron '0 6 * * *' [--timezone Europe/Berlin] [--format csv] | schedules | runs SCHEDULE_ID | pause SCHEDULE_ID | resume SCHEDULE_ID",
    summary: 'with Waypost running: reports that are kept by name, and the schedules that make files of them',
    run: async (args) => {
      const options = { query: TEXT, range: TEXT, folder: TEXT, cron: TEXT, timezone: TEXT, format: TEXT } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      return runSavedReportsCommand(readConfig(), readSavedReportsQuestion(positionals, values))
    },
  },
  jobs: {
    usage: 'jobs [JOB_ID] [--kind export] [--state running] [--limit 50] | jobs cancel JOB_ID',
    summary: 'with Waypost running: work in the background and how far it is',
    run: async (args) => {
      const { values, positionals } = parseArgs({ args, options: { kind: TEXT, state: TEXT, limit: TEXT }, allowPositionals: true }) // prettier-ignore
      const [first, second, ...rest] = positionals
      if (
        rest.length > 0 ||
        (second !== undefined && first !== 'cancel') ||
        (first === 'cancel' && second === undefined)
      )
        throw new UsageError('jobs takes one id, or cancel and one id.')
      return second === undefined ? printJobs(readConfig(), first, given(values)) : cancelJobById(readConfig(), second)
    },
  },
  export: {
    usage:
      'export clicks|events|conversions [--format csv|jsonl|parquet|xlsx] [--gzip] [--from 2026-11-01] [--to 2026-11-30] [--tz ZONE] [--columns at,click_id] [--filter RULE] [--headers title] [--output FILE]',
    summary: 'with Waypost running: write a log of any size into a file',
    run: async (args) => {
      const options = { format: TEXT, gzip: { type: 'boolean' }, from: TEXT, to: TEXT, tz: TEXT, columns: TEXT, filter: TEXT, headers: TEXT, output: TEXT } as const // prettier-ignore
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [log, ...rest] = positionals
      if (log === undefined || rest.length > 0)
        throw new UsageError('export takes one log: clicks, events or conversions.')
      const stopAsked = new AbortController()
      onStopRequest(
        () => stopAsked.abort(),
        () => process.exit(1),
      )
      const { output, columns, gzip, ...question } = values
      const asked = {
        log,
        ...given(question),
        ...(gzip === true && { gzip }),
        ...(columns !== undefined && { columns: columns.split(',') }),
      }
      return exportToFile(readConfig(), asked, output, stopAsked.signal)
    },
  },
  conversions: {
    usage: 'conversions correct CONVERSION_ID [--payout 12.50] [--revenue 20] --reason TEXT',
    summary: 'with Waypost running: correct what one conversion is worth, with its bookings and postbacks',
    run: async (args) => {
      const options = { payout: TEXT, revenue: TEXT, reason: TEXT } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, id, ...rest] = positionals
      const { payout, revenue, reason } = values
      if (verb !== 'correct' || id === undefined || rest.length > 0)
        throw new UsageError('conversions knows one verb: correct CONVERSION_ID.')
      if (reason === undefined || (payout === undefined && revenue === undefined))
        throw new UsageError('conversions correct takes --payout, --revenue or both, and a --reason.')
      return correctConversion(readConfig(), id, { payout, revenue, reason })
    },
  },
  replay: {
    usage:
      'replay --since 7d [--until TIME] [--endpoint ID] [--state gave_up] [--status 500] [--error timeout] [--cause sale] [--per-minute 600] [--yes] | replay list | replay cancel REPLAY_ID',
    summary: 'with Waypost running: send what fits once more under the same ids; counts only, unless --yes',
    run: async (args) => {
      const options = { ...deliveryOptions, until: TEXT, state: TEXT, status: TEXT, error: TEXT, 'per-minute': TEXT, yes: { type: 'boolean' } } as const // prettier-ignore
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, replayId, ...rest] = positionals
      if (verb === 'list' && replayId === undefined) return printReplays(readConfig())
      if (verb === 'cancel' && replayId !== undefined && rest.length === 0)
        return cancelReplayById(readConfig(), replayId)
      if (verb !== undefined) throw new UsageError('replay knows list and cancel REPLAY_ID.')
      const { click, conversion, since, until, state, error, status, yes = false } = values
      if (click !== undefined || conversion !== undefined)
        throw new UsageError('replay goes by time; send one delivery of a click once more from its page.')
      const filter = {
        ...deliveryFilter(values),
        from: sinceTime(since),
        ...given({ to: until, state, error }),
        ...(status !== undefined && { http_status: wholeNumber('--status', status, 100, 599) }),
      }
      return (yes ? runReplay : askReplay)(readConfig(), filter, perMinuteOf(values['per-minute']))
    },
  },
  demo: {
    usage: 'demo [--seconds 20] [--rate 50] [--seed 1] [--port 8090] [--stay]',
    summary: 'with Waypost running: an advertiser, its traffic, conversions and postbacks, within a minute',
    run: async (args) => {
      const options = {
        seconds: { type: 'string', default: '20' },
        rate: { type: 'string', default: '50' },
        seed: { type: 'string', default: '1' },
        port: { type: 'string', default: '8090' },
        stay: { type: 'boolean', default: false },
      } as const
      const { values } = parseArgs({ args, options })
      const stopAsked = new AbortController()
      onStopRequest(
        () => stopAsked.abort(),
        () => process.exit(1),
      )
      const { runDemo } = await import('#demo')
      return runDemo(readConfig(), {
        seconds: wholeNumber('--seconds', values.seconds, 1, 3_600),
        clicksPerSecond: wholeNumber('--rate', values.rate, 1, 10_000),
        seed: wholeNumber('--seed', values.seed, 0, 2 ** 31 - 1),
        port: wholeNumber('--port', values.port, 0, 65_535),
        keepsRunning: values.stay,
        say: (line) => void process.stdout.write(`${line}\n`),
        stopSignal: stopAsked.signal,
      })
    },
  },
  costs: {
    usage:
      'costs import FILE --key KEY [--advertiser ID] [--tz ZONE] [--currency EUR] [--spread clicks|uniques|humans] [--idempotency-key KEY] [--dry-run] | costs list | costs respread IMPORT_ID | costs delete IMPORT_ID',
    summary: 'with Waypost running: import what traffic cost from a CSV file, or correct that',
    run: async (args) => {
      const options = { key: TEXT, advertiser: TEXT, tz: TEXT, currency: TEXT, spread: TEXT, 'idempotency-key': TEXT, 'dry-run': { type: 'boolean' } } as const // prettier-ignore
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, which, ...rest] = positionals
      if (rest.length === 0 && verb === 'list' && which === undefined) return runCostsCommand(readConfig(), { verb })
      if (rest.length === 0 && (verb === 'respread' || verb === 'delete') && which !== undefined)
        return runCostsCommand(readConfig(), { verb, importId: which })
      if (rest.length > 0 || verb !== 'import' || which === undefined)
        throw new UsageError('costs knows import FILE, list, respread IMPORT_ID and delete IMPORT_ID.')
      if (values.key === undefined)
        throw new UsageError('costs import takes a --key: the same key again corrects the import.')
      const { key, advertiser: advertiser_id, tz, currency, spread, 'idempotency-key': idempotency_key } = values
      const query = given({ key, advertiser_id, tz, currency, spread, idempotency_key })
      const dryRun = values['dry-run'] === true ? { dry_run: 'true' } : {}
      return runCostsCommand(readConfig(), { verb, file: which, query: { ...query, ...dryRun } })
    },
  },
  rates: {
    usage:
      'rates import FILE [--format csv|ecb_csv|ecb_xml] [--base EUR] [--source TEXT] | rates set DAY CURRENCY RATE | rates list [--currency USD] [--from DAY] [--to DAY]',
    summary: 'with Waypost running: store exchange rates, or show them',
    run: async (args) => {
      const options = { format: TEXT, base: TEXT, source: TEXT, currency: TEXT, from: TEXT, to: TEXT } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, ...rest] = positionals
      const { format, base, source, currency, from, to } = values
      if (verb === 'import' && rest.length === 1)
        return runRatesCommand(readConfig(), { verb, file: rest[0]!, query: given({ format, base, source }) })
      if (verb === 'set' && rest.length === 3) {
        const [date, code, rate] = rest as [string, string, string]
        return runRatesCommand(readConfig(), { verb, date, currency: code, rate })
      }
      if (verb === 'list' && rest.length === 0)
        return runRatesCommand(readConfig(), { verb, query: given({ base, currency, from, to }) })
      throw new UsageError('rates knows import FILE, set DAY CURRENCY RATE and list.')
    },
  },
  secrets: {
    usage: 'secrets status | rotate [--forget-old]',
    summary: 'the keys that secrets in the database are sealed with, and how to replace them',
    run: async (args) => {
      const options = { 'forget-old': { type: 'boolean', default: false } } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, ...rest] = positionals
      if (rest.length === 0 && verb === 'rotate')
        return runSecretsCommand(readConfig(), { verb, forgetsOld: values['forget-old'] })
      if (rest.length === 0 && verb === 'status' && !values['forget-old'])
        return runSecretsCommand(readConfig(), { verb })
      throw new UsageError('secrets knows status and rotate [--forget-old].')
    },
  },
  retention: {
    usage: 'retention status | run [--dry-run] | restore YYYY-MM-DD [--hold-days 7]',
    summary:
      'with Waypost running: raw facts past their age, what is due, a run now, or a day put back from its archive',
    run: async (args) => {
      const options = { 'dry-run': { type: 'boolean', default: false }, 'hold-days': TEXT } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, day, ...rest] = positionals
      const holdDays = values['hold-days']
      if (verb === 'status' && day === undefined) return runRetentionCommand(readConfig(), { verb })
      if (verb === 'run' && day === undefined)
        return runRetentionCommand(readConfig(), { verb, isDryRun: values['dry-run'] })
      if (verb !== 'restore' || day === undefined || rest.length > 0)
        throw new UsageError('retention knows status, run [--dry-run] and restore YYYY-MM-DD.')
      return runRetentionCommand(readConfig(), {
        ...{ verb, day },
        holdDays: holdDays === undefined ? undefined : wholeNumber('--hold-days', holdDays, 1, 365),
      })
    },
  },
  doctor: {
    usage: 'doctor',
    summary: 'look at engines, disk, clocks, keys and invariants, and say what to do',
    run: async (args) => {
      parseArgs({ args })
      return doctor(readConfig())
    },
  },
  reconcile: {
    usage: 'reconcile [--acknowledged FILE]',
    summary: 'prove that acknowledged = log = facts = conversions = ledger, or show the difference',
    run: async (args) => {
      const { values } = parseArgs({ args, options: { acknowledged: { type: 'string' } } })
      return reconcileInstallation(readConfig(), {
        ...(values.acknowledged !== undefined && { acknowledgedFile: values.acknowledged }),
      })
    },
  },
  log: {
    usage: 'log inspect [PARTITION] [--from OFFSET] [--limit 20] [--verify]',
    summary: 'look inside the event log: its partitions, the records of one, or whether all of it can be read',
    run: async (args) => {
      const options = {
        from: { type: 'string' },
        limit: { type: 'string', default: '20' },
        verify: { type: 'boolean', default: false },
      } as const
      const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
      const [verb, partition, ...rest] = positionals
      if (verb !== 'inspect' || rest.length > 0) throw new UsageError('log knows one verb: inspect.')
      return inspectInstallationLog(readConfig(), {
        ...(partition !== undefined && { partition }),
        ...(values.from !== undefined && {
          fromOffset: wholeNumber('--from', values.from, 0, Number.MAX_SAFE_INTEGER),
        }),
        limit: wholeNumber('--limit', values.limit, 1, 1_000_000),
        isVerified: values.verify,
      })
    },
  },
}

const perMinuteOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : wholeNumber('--per-minute', text, 1, replayLimits.perMinuteMax)

type EndpointsValues = {
  readonly note?: string
  readonly since?: string
  readonly 'per-minute'?: string
  readonly yes?: boolean
  readonly 'keep-hours': string
}

function readEndpointsQuestion([verb, ...rest]: readonly string[], values: EndpointsValues): EndpointsQuestion {
  const [first, second] = rest
  if (verb === 'list' && rest.length === 0) return { verb }
  const object = pausedObjects.find((one) => one === first)
  if (verb === 'pause' && object !== undefined && rest.length === 2)
    return { verb, object, id: second!, note: values.note }
  if (verb === 'resume' && object !== undefined && rest.length === 2) return { verb, object, id: second! }
  if (verb === 'enable' && rest.length === 1) return { verb, id: first! }
  if (verb === 'recover' && rest.length === 1)
    return {
      ...{ verb, id: first!, since: sinceTime(values.since), isDryRun: values.yes !== true },
      perMinute: perMinuteOf(values['per-minute']),
    }
  if (verb === 'rotate-secret' && rest.length === 1)
    return { verb, id: first!, keepHours: wholeNumber('--keep-hours', values['keep-hours'], 0, KEEP_HOURS_MAX) }
  throw new UsageError(
    `endpoints knows show [ID], test ID, list, pause and resume (${pausedObjects.join(', ')}) ID, enable ID, recover ID and rotate-secret ID.`,
  )
}

type SavedReportsValues = {
  readonly [name in 'query' | 'range' | 'folder' | 'cron' | 'timezone' | 'format']?: string | undefined
}

function readSavedReportsQuestion(
  [verb, id, ...rest]: readonly string[],
  { query, range, folder, cron, timezone, format }: SavedReportsValues,
): SavedReportsQuestion {
  if ((verb === 'list' || verb === 'schedules') && id === undefined) return { verb }
  if (id !== undefined && rest.length === 0) {
    if (verb === 'save' && query !== undefined) return { verb, name: id, query, range, folder }
    if (verb === 'schedule' && cron !== undefined) return { verb, id, cron, timezone, format }
    if (verb === 'run' || verb === 'runs' || verb === 'pause' || verb === 'resume') return { verb, id }
  }
  throw new UsageError(
    'saved-reports knows list, save NAME --query, run ID, schedule ID --cron, schedules, and runs, pause and resume SCHEDULE_ID.',
  )
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return number
  throw new UsageError(`${name} ${text}: must be a whole number from ${min} to ${max}.`)
}

const versionOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : wholeNumber('--version', text, 1, 2_147_483_647)

const given = (values: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))

const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `7d`, `12h` and `30m` before now, or a time. */
function sinceTime(text: string | undefined): string {
  const [, count, unit] = /^(\d{1,4})([mhd])$/.exec(text ?? '') ?? []
  if (count !== undefined)
    return new Date(Date.now() - Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS]).toISOString()
  if (text !== undefined && !Number.isNaN(Date.parse(text))) return new Date(text).toISOString()
  throw new UsageError('--since takes a span such as 7d, 12h or 30m, or a time such as 2026-11-01T00:00:00Z.')
}

async function main([name = 'help', ...args]: string[]): Promise<number> {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (['help', '--help', '-h'].includes(name) || args.includes('--help')) {
    process.stdout.write(command === undefined ? usage() : `Usage:\n${usageOf(command)}`)
    return 0
  }
  if (command === undefined) throw new UsageError(`There is no command "${name}".`)
  return command.run(args)
}

const usageOf = ({ usage, summary }: Command): string => `  waypost ${usage}\n      ${summary}\n`

function usage(): string {
  const lines = Object.values(commands).map(usageOf)
  return `Usage:\n${lines.join('')}  waypost help\n      print this\n\nSettings are environment variables: docs/operations.md lists them.\n`
}

/** One line where the call is wrong, with where to read how it is written. */
function explain(error: unknown, [name = '']: readonly string[]): { readonly text: string; readonly exitCode: number } {
  if (!(error instanceof Error)) return { text: `waypost: ${String(error)}\n`, exitCode: 1 }
  const { code = '', exitCode = code === 'argument_invalid' ? 2 : 1 } = error as { code?: unknown; exitCode?: number }
  if (!(error instanceof UsageError) && !String(code).startsWith('ERR_PARSE_ARGS'))
    return { text: `waypost: ${error.message}\n`, exitCode }
  // parseArgs goes on about arguments that begin with a dash.
  const [what = ''] = error.message.split(/\n|(?<=\.) To specify/)
  const help = Object.hasOwn(commands, name) ? `waypost ${name} --help` : 'waypost help'
  return { text: `waypost: ${what.replace(/[^.]$/, '$&.')} See: ${help}\n`, exitCode: 2 }
}

const words = process.argv.slice(2)
try {
  process.exitCode = await main(words)
} catch (error) {
  const { text, exitCode } = explain(error, words)
  process.stderr.write(text)
  process.exitCode = exitCode
}
// Whatever is still open by now is of no use to anyone and must not keep the process.
process.exit()
