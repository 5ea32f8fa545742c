import type { Config } from '#config'

import { dataPaths, readOrMakeSecrets } from './data-directory.ts'

const ANSWER_MS_MAX = 300_000

/** Asks the API of the installation that runs on this machine, as its owner.
 * @param path with the leading slash
 * @param body left out: a GET, else a POST with this as JSON
 * @returns the JSON of the answer
 * @throws {Error} it does not answer, or with another status than 200
 */
export async function askApi(config: Config, path: string, body?: object): Promise<unknown> {
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
  if (!response.ok)
    throw new Error(`The API answered ${response.status} at ${url}: ${(await response.text()).slice(0, 500)}`)
  return response.json()
}
