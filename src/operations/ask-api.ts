import type { Config } from '#config'

import { dataPaths, readOrMakeSecrets } from './data-directory.ts'

const ANSWER_MS_MAX = 300_000

/** Asks the API of the installation that runs on this machine, as its owner.
 * @param path with the leading slash
 * @returns the JSON of the answer
 * @throws {Error} it does not answer, or with another status than 200
 */
export async function askApi(config: Config, path: string): Promise<unknown> {
  const { ownerApiKey } = readOrMakeSecrets(dataPaths(config.dataDir).secrets)
  const host = ['0.0.0.0', '::', 'localhost'].includes(config.apiHost) ? '127.0.0.1' : config.apiHost
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${config.apiPort}${path}`
  const response = await fetch(url, {
    headers: { authorization: `Bearer ${config.apiKey ?? ownerApiKey}` },
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  }).catch((cause: unknown) => {
    throw new Error(`The API does not answer at ${url}: is WAYPOST_API_PORT that of the running Waypost?`, { cause })
  })
  if (!response.ok)
    throw new Error(`The API answered ${response.status} at ${url}: ${(await response.text()).slice(0, 500)}`)
  return response.json()
}
