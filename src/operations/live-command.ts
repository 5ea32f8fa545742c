import type { Config } from '#config'

import { readRefusal } from './api-refusal.ts'
import { apiAddress } from './ask-api.ts'

/** What narrows the live stream on the command line: the parameters of GET /v1/live. */
export type LiveFilter = Readonly<Record<string, string>>

/** What the options are called by the API. */
const options = {
  ...{ counts: '--counts', rows: '--rows', of: '--of', filter: '--filter', group_by: '--group-by', top: '--top', rate: '--rate' },
} // prettier-ignore

/** Prints the live stream of the installation that runs on this machine, a message a line: its kind and its JSON. Ends when the
 * stream does, or when asked to stop.
 * @returns the exit code
 */
export async function printLive(config: Config, filter: LiveFilter, stopSignal: AbortSignal): Promise<number> {
  const { url, headers } = apiAddress(config, `/v1/live?${new URLSearchParams(filter).toString()}`)
  const response = await fetch(url, { headers, signal: stopSignal }).catch((cause: unknown) => {
    throw new Error(`The API does not answer at ${url}: is WAYPOST_API_PORT that of the running Waypost?`, { cause })
  })
  if (!response.ok) throw readRefusal(response.status, await response.text(), options, undefined)
  try {
    for await (const line of toLines(response.body!)) process.stdout.write(`${line}\n`)
  } catch (error) {
    if (!stopSignal.aborted) throw error
  }
  return 0
}

/** `event: counts` and `data: {…}` as one line; comments and ids are for machines. */
async function* toLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let text = ''
  let event = ''
  const decoder = new TextDecoder()
  for await (const chunk of body) {
    const lines = (text + decoder.decode(chunk, { stream: true })).split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('event: ')) event = line.slice('event: '.length)
      if (line.startsWith('data: ')) yield `${event} ${line.slice('data: '.length)}`
    }
  }
}
