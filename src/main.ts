/** The command line: reads the configuration, picks the command, prints one clear line when something cannot be done. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { readConfig } from '#config'
import {
  applyFile,
  doctor,
  inspectInstallationLog,
  onStopRequest,
  parseRoles,
  reconcileInstallation,
  roles,
  serve,
} from '#operations'

type Command = {
  readonly usage: string
  readonly summary: string
  /** @returns the exit code */
  readonly run: (args: string[]) => Promise<number>
}

/** The call itself is wrong; the usage is printed after the message. */
class UsageError extends Error {}

const EDGE_PROGRAM = [fileURLToPath(import.meta.url), 'serve', '--role', 'edge'] as const

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

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return number
  throw new UsageError(`${name} ${text}: must be a whole number from ${min} to ${max}.`)
}

async function main([name = 'help', ...args]: string[]): Promise<number> {
  if (['help', '--help', '-h'].includes(name) || args.includes('--help')) {
    process.stdout.write(usage())
    return 0
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) throw new UsageError(`There is no command "${name}".`)
  return command.run(args)
}

function usage(): string {
  const lines = Object.values(commands).map(({ usage, summary }) => `  waypost ${usage}\n      ${summary}\n`)
  return `Usage:\n${lines.join('')}  waypost help\n      print this\n\nSettings are environment variables: docs/operations.md lists them.\n`
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return `waypost: ${String(error)}\n`
  const { code = '' } = error as { code?: unknown }
  const isUsage = error instanceof UsageError || String(code).startsWith('ERR_PARSE_ARGS')
  return `waypost: ${error.message}\n${isUsage ? `\n${usage()}` : ''}`
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(explain(error))
  process.exitCode = 1
}
// Whatever is still open by now is of no use to anyone and must not keep the process.
process.exit()
