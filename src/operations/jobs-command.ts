import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'

import type { Config } from '#config'

import { apiAddress, askApi } from './ask-api.ts'

type Row = Readonly<Record<string, unknown>>

const options = {
  kind: '--kind', state: '--state', limit: '--limit', job_id: 'the id', log: 'what is exported', format: '--format', gzip: '--gzip',
  headers: '--headers', from: '--from', to: '--to', tz: '--tz', columns: '--columns', filter: '--filter',
} // prettier-ignore

const ask = async (config: Config, path: string, body?: object): Promise<Row> =>
  (await askApi(config, path, body, { options })) as Row

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const wordOf = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : '-'

/** `waypost jobs`: work in the background, newest first, or one job with everything about it.
 * @returns exit code: 0
 * @throws {ApiRefusal} what to correct
 */
export async function printJobs(
  config: Config,
  jobId: string | undefined,
  filter: Record<string, string>,
): Promise<number> {
  if (jobId !== undefined) {
    say(JSON.stringify(await ask(config, `/v1/jobs/${encodeURIComponent(jobId)}`), null, 2))
    return 0
  }
  const page = await ask(config, `/v1/jobs?${new URLSearchParams(filter).toString()}`)
  for (const job of page['items'] as readonly Row[]) {
    const error = job['error'] as Row | null
    const words = [job['job_id'], job['created_at'], job['kind'], job['state'], `${wordOf(job['done'])}/${wordOf(job['total'])}`, job['asked_by']] // prettier-ignore
    say([...words.map(wordOf), ...(error === null ? [] : [wordOf(error['message'])])].join('  '))
  }
  if (page['next_cursor'] !== null) say('There are more: raise --limit or narrow it.')
  return 0
}

/** `waypost jobs cancel`. @returns exit code: 0 */
export async function cancelJobById(config: Config, jobId: string): Promise<number> {
  const job = await ask(config, `/v1/jobs/${encodeURIComponent(jobId)}/cancel`, {})
  say(job['state'] === 'running' ? 'It ends within seconds.' : `It is ${wordOf(job['state'])}.`)
  return 0
}

const LOOK_MS = 500

/** `waypost export`: makes an export, waits for it and writes it into a file of the directory of the call. Asked to stop, it cancels it.
 * @returns exit code: 0; 1: the export ended otherwise than with a file
 * @throws {ApiRefusal} what to correct
 */
export async function exportToFile(
  config: Config,
  question: Row,
  output: string | undefined,
  stopSignal: AbortSignal,
): Promise<number> {
  let job = await ask(config, '/v1/exports', question)
  const path = `/v1/exports/${wordOf(job['job_id'])}`
  const isWaited = (): boolean => job['state'] === 'queued' || job['state'] === 'running'
  while (isWaited() && !stopSignal.aborted) {
    await delay(LOOK_MS)
    job = await ask(config, path)
    if (process.stderr.isTTY) process.stderr.write(`\r${wordOf(job['done'])} of ${wordOf(job['total'])} rows `)
  }
  if (isWaited()) return cancelJobById(config, wordOf(job['job_id']))
  const link = job['download'] as Row | null
  if (link === null) {
    say(`The export is ${wordOf(job['state'])}. ${wordOf((job['error'] as Row | null)?.['message'])}`)
    return 1
  }
  const file = resolve(config.callDir, output ?? wordOf(job['file_name']))
  await fetchFile(config, wordOf(link['url']), file)
  say(`${wordOf(job['rows'])} rows, ${wordOf(job['bytes'])} bytes in ${file}`)
  return 0
}

/** A file that is there already is not written over. */
async function fetchFile(config: Config, path: string, file: string): Promise<void> {
  const sink = createWriteStream(file, { flags: 'wx', mode: 0o600 })
  const { promise: opened, resolve: isOpen, reject } = Promise.withResolvers<void>()
  sink.once('open', () => isOpen()).once('error', reject)
  await opened
  try {
    const response = await fetch(apiAddress(config, path).url)
    if (!response.ok || response.body === null) throw new Error(`The file cannot be fetched (${response.status}).`)
    await pipeline(Readable.fromWeb(response.body as never), sink)
  } catch (error) {
    sink.destroy()
    await rm(file, { force: true })
    throw error
  }
}
