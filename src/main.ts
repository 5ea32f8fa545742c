/** The command line: reads the configuration, picks the command, prints one clear line when something cannot be done. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { readConfig } from '#config'
import { applyFile, parseRoles, roles, serve } from '#operations'

type Command = {
  readonly usage: string
  readonly summary: string
  /** @returns the exit code */
  readonly run: (args: readonly string[]) => Promise<number>
}

const EDGE_PROGRAM = [fileURLToPath(import.meta.url), 'serve', '--role', 'edge'] as const

const commands: Readonly<Record<string, Command>> = {
  serve: {
    usage: `serve [--role ${roles.join(',')}]`,
    summary: 'run everything, or only these roles of it',
    run: async (args) => {
      const { values } = parseArgs({ args: [...args], options: { role: { type: 'string', multiple: true } } })
      await serve(readConfig(), parseRoles(values.role ?? []), EDGE_PROGRAM)
      return 0
    },
  },
  apply: {
    usage: 'apply FILE [--dry-run]',
    summary: 'apply a YAML configuration wholly, or refuse it wholly; prints the differences',
    run: async (args) => {
      const options = { 'dry-run': { type: 'boolean' } } as const
      const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
      if (positionals.length !== 1) throw new UsageError('apply takes one file.')
      return applyFile(readConfig(), positionals[0]!, { isDryRun: values['dry-run'] === true })
    },
  },
}

/** The call itself is wrong; the usage is printed after the message. */
class UsageError extends Error {}

async function main([name = 'help', ...args]: readonly string[]): Promise<number> {
  if (['help', '--help', '-h'].includes(name) || args.includes('--help')) {
    process.stdout.write(usage())
    return 0
  }
  const command = commands[name]
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
