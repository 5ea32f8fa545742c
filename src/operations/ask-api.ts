import type { Config } from '#config'

import { dataPaths, readOrMakeSecrets } from './data-directory.ts'

const ANSWER_MS_MAX = 300_000

/** Asks the API of the installation that runs on this machine, as its owner.
 * @param path with the leading slash
 * @param body left out: a GET, else a POST with this as JSON
 * @returns the JSON of the answer
 * @throws {Error} it does not answer, or with another status than 200; the message has what the answer says is wrong
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
  if (!response.ok) throw new Error(describeRefusal(url, response.status, await response.text()))
  return response.json()
}

/** The error answer of the API, with every mistake that it lists. */
type Refusal = {
  readonly error: { readonly code: string; readonly message: string; readonly detail?: string; readonly path?: string }
  readonly issues?: readonly Mistake[]
  readonly errors?: readonly Mistake[]
}
type Mistake = { readonly path: string; readonly message: string; readonly line?: number; readonly column?: number }

const MISTAKES_SHOWN_MAX = 20

function describeRefusal(url: string, status: number, text: string): string {
  const refusal = readRefusal(text)
  if (refusal === undefined) return `The API answered ${status} at ${url}: ${text.slice(0, 500)}`
  const { error, issues, errors = issues ?? [] } = refusal
  const place = error.path === undefined || error.path === '' ? '' : ` (${error.path})`
  const detail = error.detail === undefined || errors.length > 0 ? '' : ` ${error.detail}${place}`
  const more = errors.length - MISTAKES_SHOWN_MAX
  return [
    `${error.message}${detail} [${error.code}]`,
    ...errors.slice(0, MISTAKES_SHOWN_MAX).map((one) => `  ${placeOf(one)}${one.message}`),
    ...(more > 0 ? [`  … and ${more} more`] : []),
  ].join('\n')
}

function placeOf({ path, line, column }: Mistake): string {
  const at = line !== undefined ? `line ${line}` : column !== undefined ? `character ${column}` : ''
  return [path, at].filter((part) => part !== '').join(', ') + ': '
}

/** Undefined: something else than the API answers there. */
function readRefusal(text: string): Refusal | undefined {
  try {
    const answer = JSON.parse(text) as Partial<Refusal> | null
    return typeof answer?.error?.message === 'string' ? (answer as Refusal) : undefined
  } catch {
    // No JSON.
    return undefined
  }
}
