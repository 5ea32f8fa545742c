import type { Config } from '#config'

import { readRefusal, type OptionNames } from './api-refusal.ts'
import { dataPaths, readOrMakeSecrets } from './data-directory.ts'

const ANSWER_MS_MAX = 300_000

/** Asks the API of the installation that runs on this machine, as its owner.
 * @param path with the leading slash
 * @param body left out: a GET, else a POST with this as JSON
 * @returns the JSON of the answer
 * @param words how the command names what it sends, for what the API says of it
 * @throws {Error} it does not answer
 * @throws {ApiRefusal} it answers with another status than 200
 */
export async function askApi(
  config: Config,
  path: string,
  body?: object,
  words: { readonly options?: OptionNames; readonly file?: string | undefined } = {},
): Promise<unknown> {
  const { ownerApiKey } = readOrMakeSecrets(dataPaths(config.dataDir).secrets)
  const host = ['0.0.0.0', '::', 'localhost'].includes(config.apiHost) ? '127.0.0.1' : config.apiHost
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${config.apiPort}${path}`
  const response = await fetch(url, {
    headers: {
      authorization: `Bearer ${config.apiKey ?? ownerApiKey}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  }).catch((cause: unknown) => {
    throw new Error(`The API does not answer at ${url}: is WAYPOST_API_PORT that of the running Waypost?`, { cause })
  })
  if (!response.ok) throw readRefusal(response.status, await response.text(), words.options ?? {}, words.file)
  return response.json()
}
