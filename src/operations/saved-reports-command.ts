import type { Config } from '#config'

import { askApi } from './ask-api.ts'

type Row = Readonly<Record<string, unknown>>

/** What is asked of saved reports on the command line. */
export type SavedReportsQuestion =
  | { readonly verb: 'list' | 'schedules' }
  | { readonly verb: 'run'; readonly id: string }
  | {
      readonly verb: 'save'
      readonly name: string
      /** Parameters as in an address: `group_by=country&metrics=clicks`. */
      readonly query: string
      readonly range: string | undefined
      readonly folder: string | undefined
    }
  | {
      readonly verb: 'schedule'
      readonly id: string
      readonly cron: string
      readonly timezone: string | undefined
      readonly format: string | undefined
    }
  | { readonly verb: 'runs' | 'pause' | 'resume'; readonly id: string }

/** What the options are called by the API. */
const options = {
  range: '--range', folder: '--folder', cron: '--cron', timezone: '--timezone', format: '--format', query: '--query',
  name: 'the name', saved_report_id: 'the id', schedule_id: 'the id',
} // prettier-ignore

/** `waypost saved-reports`: saves, runs and schedules reports of the installation that runs on this machine, as its owner.
 * @returns the exit code
 * @throws {ApiRefusal} what to correct
 */
export async function runSavedReportsCommand(config: Config, question: SavedReportsQuestion): Promise<number> {
  const ask = async (path: string, body?: object): Promise<Row> =>
    (await askApi(config, path, body, { options })) as Row
  for (const line of await linesOf(question, ask)) process.stdout.write(`${line}\n`)
  return 0
}

type Ask = (path: string, body?: object) => Promise<Row>

async function linesOf(question: SavedReportsQuestion, ask: Ask): Promise<readonly string[]> {
  switch (question.verb) {
    case 'list':
      return itemsOf(await ask('/v1/saved-reports?limit=500')).map(({ saved_report_id, folder, name, range }) =>
        line(saved_report_id, folder, name, range),
      )
    case 'run':
      return [JSON.stringify(await ask(`/v1/saved-reports/${encodeURIComponent(question.id)}/run`), null, 2)]
    case 'save': {
      const { name, range, folder, query } = question
      const more = { ...(range !== undefined && { range }), ...(folder !== undefined && { folder }) }
      const saved = await ask('/v1/saved-reports', { name, query: readQuery(query), ...more })
      return [`Saved as ${String(saved['saved_report_id'])}`]
    }
    case 'schedule': {
      const { id, cron, timezone, format } = question
      const more = { ...(timezone !== undefined && { timezone }), ...(format !== undefined && { format }) }
      const made = await ask('/v1/report-schedules', { saved_report_id: id, cron, ...more })
      return [`Schedule ${String(made['schedule_id'])} runs next at ${String(made['next_at'])}`]
    }
    case 'schedules':
      return itemsOf(await ask('/v1/report-schedules?limit=500')).map((row) =>
        line(row['schedule_id'], row['saved_report_id'], row['cron'], row['timezone'], row['format'], row['state'], row['next_at']),
      ) // prettier-ignore
    case 'runs':
      return itemsOf(await ask(`/v1/report-schedules/${encodeURIComponent(question.id)}/runs`)).map((row) => {
        const file = row['file'] as { path: string } | null
        const error = row['error'] as { message: string } | null
        return line(row['due_at'], row['state'], row['rows'], file?.path ?? error?.message)
      })
    case 'pause':
    case 'resume': {
      const { verb, id } = question
      const row = await ask(`/v1/report-schedules/${encodeURIComponent(id)}/${verb}`, {})
      return [line(row['schedule_id'], row['state'], row['next_at'])]
    }
    default:
      return question satisfies never
  }
}

const itemsOf = (page: Row): readonly Row[] => page['items'] as readonly Row[]
const line = (...words: readonly unknown[]): string => words.map((word) => String(word ?? '-') || '-').join('  ')

/** Parameters that come twice are lists. */
function readQuery(text: string): Record<string, string | string[]> {
  const parameters = new URLSearchParams(text)
  return Object.fromEntries(
    [...new Set(parameters.keys())].map((name) => {
      const values = parameters.getAll(name)
      return [name, values.length === 1 ? values[0]! : values]
    }),
  )
}
