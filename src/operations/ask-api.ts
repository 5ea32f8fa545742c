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
  const json = { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  return send(config, path, body === undefined ? {} : json, words)
}

type Sent = {
  readonly method?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

async function send(
  config: Config,
  path: string,
  sent: Sent,
  words: { readonly options?: OptionNames; readonly file?: string | undefined } = {},
): Promise<unknown> {
  const { url, headers } = apiAddress(config, path)
  const response = await fetch(url, {
    ...sent,
    headers: { ...headers, ...sent.headers },
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  }).catch((cause: unknown) => {
    throw new Error(`The API does not answer at ${url}: is WAYPOST_API_PORT that of the running Waypost?`, { cause })
  })
  if (!response.ok) throw readRefusal(response.status, await response.text(), words.options ?? {}, words.file)
  return response.json()
}

/** Sends a file to the API of the installation that runs on this machine, as its owner.
 * @returns the JSON of the answer
 * @throws {Error} it does not answer
 * @throws {ApiRefusal} it answers with another status than 200
 */
export async function sendFile(
  config: Config,
  path: string,
  text: string,
  type: string,
  options: OptionNames = {},
): Promise<unknown> {
  return send(config, path, { method: 'POST', body: text, headers: { 'content-type': type } }, { options })
}

/** Asks the API to take something away. */
export const askToDelete = (config: Config, path: string): Promise<unknown> => send(config, path, { method: 'DELETE' })

/** Where the API of the installation on this machine listens, and what its owner asks with. */
export function apiAddress(
  config: Config,
  path: string,
): { readonly url: string; readonly headers: { readonly authorization: string } } {
  const { ownerApiKey } = readOrMakeSecrets(dataPaths(config.dataDir).secrets)
  const host = ['0.0.0.0', '::', 'localhost'].includes(config.apiHost) ? '127.0.0.1' : config.apiHost
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${config.apiPort}${path}`,
    headers: { authorization: `Bearer ${config.apiKey ?? ownerApiKey}` },
  }
}
