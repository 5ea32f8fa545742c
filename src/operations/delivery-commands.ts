import type { Config } from '#config'

import { askApi } from './ask-api.ts'
import { describeCount, describeRunning, describeSkipped } from './describe-replay.ts'

type Row = Readonly<Record<string, unknown>>
type Filter = Readonly<Record<string, string | number>>

/** What the options of these commands are called by the API. */
const options = {
  endpoint_id: '--endpoint', click_id: '--click', conversion_id: '--conversion', cause: '--cause', from: '--since', to: '--until',
  state: '--state', http_status: '--status', error: '--error', reason: '--reason', limit: '--limit', per_minute: '--per-minute',
  'filter.endpoint_id': '--endpoint', 'filter.cause': '--cause', 'filter.from': '--since', 'filter.to': '--until',
  'filter.state': '--state', 'filter.http_status': '--status', 'filter.error': '--error', delivery_id: 'the id', replay_id: 'the id',
} // prettier-ignore

const ask = async (config: Config, path: string, body?: object): Promise<Row> =>
  (await askApi(config, path, body, { options })) as Row

const withQuery = (path: string, filter: Filter): string => {
  const query = new URLSearchParams(Object.entries(filter).map(([name, value]) => [name, String(value)]))
  return query.size === 0 ? path : `${path}?${query.toString()}`
}

const itemsOf = (page: Row): readonly Row[] => page['items'] as readonly Row[]
const word = (value: unknown): string =>
  value === null || value === undefined || value === '' ? '-' : typeof value === 'object' ? JSON.stringify(value) : String(value) // prettier-ignore

/** Columns as wide as their widest value. */
function table(head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const texts = [head, ...rows.map((row) => row.map(word))]
  const widths = head.map((_, column) => Math.max(...texts.map((row) => row[column]!.length)))
  return texts
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

const more = (page: Row): string =>
  page['next_cursor'] === null ? '' : '\nThere are more: raise --limit or narrow it.'

/** `waypost deliveries`: outbound postbacks, newest first, or one with everything that is known of it.
 * @returns exit code: 0
 * @throws {ApiRefusal} what to correct
 */
export async function printDeliveries(config: Config, deliveryId: string | undefined, filter: Filter): Promise<number> {
  if (deliveryId !== undefined)
    return say(JSON.stringify(await ask(config, `/v1/deliveries/${encodeURIComponent(deliveryId)}`), null, 2))
  const page = await ask(config, withQuery('/v1/deliveries', filter))
  const head = ['DELIVERY', 'MADE', 'ENDPOINT', 'CAUSE', 'STATE', 'REASON', 'TRIES', 'STATUS', 'ERROR']
  const columns = ['delivery_id', 'created_at', 'endpoint_id', 'cause', 'state', 'reason', 'attempts', 'last_http_status', 'last_error'] // prettier-ignore
  return say(table(head, itemsOf(page).map((row) => columns.map((column) => row[column]))) + more(page)) // prettier-ignore
}

/** `waypost why-not`: what was not sent, newest first, and why. @returns exit code: 0 */
export async function printWhyNot(config: Config, filter: Filter): Promise<number> {
  const page = await ask(config, withQuery('/v1/why-not', filter))
  const columns = ['at', 'endpoint_id', 'cause', 'click_id', 'reason', 'detail']
  const head = ['WHEN', 'ENDPOINT', 'CAUSE', 'CLICK', 'REASON', 'DETAIL']
  return say(table(head, itemsOf(page).map((row) => columns.map((column) => row[column]))) + more(page)) // prettier-ignore
}

/** `waypost endpoints show`: what waits for each endpoint and how its tries went. @returns exit code: 0 */
export async function printEndpoints(config: Config, endpointId: string | undefined): Promise<number> {
  if (endpointId !== undefined)
    return say(JSON.stringify(await ask(config, `/v1/endpoints/${encodeURIComponent(endpointId)}`), null, 2))
  const rows: Row[] = []
  for (let cursor: unknown = ''; cursor !== null;) {
    const page = await ask(config, withQuery('/v1/endpoints', { limit: 500, ...(cursor !== '' && { cursor: cursor as string }) })) // prettier-ignore
    rows.push(...itemsOf(page))
    cursor = page['next_cursor']
  }
  const head = [
    'ENDPOINT',
    'STATE',
    'READY',
    'DEFERRED',
    'HELD',
    'OLDEST S',
    'TRIES 1H',
    'OK',
    'P50 MS',
    'P99 MS',
    'LAST ERROR',
  ]
  return say(table(head, rows.map(endpointCells)))
}

function endpointCells(row: Row): readonly unknown[] {
  const waiting = row['waiting'] as Row
  const hour = row['last_hour'] as Row
  const error = row['last_error'] as Row | null
  const rate = hour['success_rate'] as number | null
  return [
    row['endpoint_id'],
    row['disabled_reason'] === null ? (row['waits_for'] ?? row['state']) : `disabled: ${word(row['disabled_reason'])}`,
    waiting['ready'],
    waiting['deferred'],
    waiting['held'],
    waiting['oldest_age_seconds'],
    hour['attempts'],
    rate === null ? null : `${(rate * 100).toFixed(1)} %`,
    hour['p50_ms'],
    hour['p99_ms'],
    error === null ? null : `${word(error['error'])} ${word(error['http_status'])} ${word(error['at'])}`,
  ]
}

/** `waypost endpoints test`: sends a sale and prints the request and the answer.
 * @returns exit code: 0; 1 where the receiver did not take it
 */
export async function testEndpoint(config: Config, endpointId: string, about: Filter): Promise<number> {
  const answer = await ask(config, withQuery(`/v1/endpoints/${encodeURIComponent(endpointId)}/test`, about), {})
  say(JSON.stringify(answer, null, 2))
  return (answer['attempt'] as Row | null)?.['outcome'] === 'delivered' ? 0 : 1
}

const bodyOf = (filter: Filter, perMinute: number | undefined): object => ({
  filter,
  ...(perMinute !== undefined && { per_minute: perMinute }),
})

/** `waypost replay`: counts what would be sent once more. @returns exit code: 0 */
export async function askReplay(config: Config, filter: Filter, perMinute: number | undefined): Promise<number> {
  const counts = await ask(config, '/v1/replays', bodyOf(filter, perMinute))
  const { replayed, skipped } = counts as { readonly replayed: number; readonly skipped: Record<string, number> }
  return say(describeCount({ replayed, skipped, isCut: counts['is_cut'] === true }))
}

/** `waypost replay --yes`: begins a replay. @returns exit code: 0 */
export async function runReplay(config: Config, filter: Filter, perMinute: number | undefined): Promise<number> {
  const replay = await ask(config, '/v1/replays?dry_run=false', bodyOf(filter, perMinute))
  return say(describeRunning(word(replay['replay_id'])))
}

/** `waypost replay list`: the newest replays. @returns exit code: 0 */
export async function printReplays(config: Config): Promise<number> {
  const page = await ask(config, '/v1/replays')
  const head = ['REPLAY', 'ASKED', 'BY', 'STATE', 'DONE', 'SENT', 'LEFT OUT', 'FILTER']
  const rows = itemsOf(page).map((row) => [
    ...[row['replay_id'], row['created_at'], row['created_by'], row['state']],
    `${Math.floor((row['progress'] as number) * 100)} %`,
    ...[row['replayed'], row['skipped'], row['filter']],
  ])
  return say(table(head, rows))
}

/** `waypost replay cancel`. @returns exit code: 0 */
export async function cancelReplayById(config: Config, replayId: string): Promise<number> {
  const replay = await ask(config, `/v1/replays/${encodeURIComponent(replayId)}/cancel`, {})
  return say(`Replay ${replayId} is ${word(replay['state'])}, with ${word(replay['replayed'])} sent${describeSkipped(replay['skipped'] as object)}.`) // prettier-ignore
}
