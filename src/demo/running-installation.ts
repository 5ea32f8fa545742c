import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '#config'

/** The installation that runs on this data directory. */
export type RunningInstallation = {
  readonly edgeUrl: string
  readonly apiUrl: string
  readonly apiKey: string
  /** Where a person finds the key. */
  readonly keyPlace: string
  /** GET of the API with the owner's key. @throws {Error} another status than 2xx */
  readonly ask: <Answer>(path: string) => Promise<Answer>
  /** Applies a configuration file. @throws {Error} it is refused */
  readonly apply: (yamlText: string) => Promise<{ readonly kind: string; readonly version: number }>
}

export type FoundInstallation =
  | { readonly kind: 'running'; readonly installation: RunningInstallation }
  | { readonly kind: 'absent'; readonly why: string }

/** Looks for edge and API on the configured ports and for the owner's key in the data directory. */
export async function findInstallation(config: Config): Promise<FoundInstallation> {
  const edgeUrl = `http://127.0.0.1:${config.edgePort}`
  const apiUrl = `http://127.0.0.1:${config.apiPort}`
  for (const [name, url] of [
    ['edge', edgeUrl],
    ['API', apiUrl],
  ] as const) {
    if (!(await isReady(`${url}/readyz`)))
      return { kind: 'absent', why: `No Waypost answers: its ${name} is not at ${url}.` }
  }
  const secretsFile = join(config.dataDir, 'secrets.json')
  const apiKey = config.apiKey ?? readOwnerKey(secretsFile)
  if (apiKey === undefined)
    return { kind: 'absent', why: `A Waypost runs, but not on ${config.dataDir}: there is no owner key in it.` }
  const authorization = `Bearer ${apiKey}`
  return {
    kind: 'running',
    installation: {
      edgeUrl,
      apiUrl,
      apiKey,
      keyPlace: config.apiKey === undefined ? `owner_api_key in ${secretsFile}` : 'the value of WAYPOST_API_KEY',
      ask: (path) => request(`${apiUrl}${path}`, { headers: { authorization } }),
      apply: (body) =>
        request(`${apiUrl}/v1/config`, {
          method: 'POST',
          body,
          headers: { authorization, 'content-type': 'application/yaml' },
        }),
    },
  }
}

const READY_MS_MAX = 3_000

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(READY_MS_MAX) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    // Nobody listens there.
    return false
  }
}

function readOwnerKey(secretsFile: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(secretsFile, 'utf8')) as { owner_api_key?: string }).owner_api_key
  } catch {
    // Another data directory than the running one's, or none.
    return undefined
  }
}

async function request<Answer>(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, init)
  const text = await response.text()
  if (!response.ok) throw new Error(`The API answered ${response.status} to ${url}: ${text.slice(0, 2_000)}`)
  return JSON.parse(text) as Answer
}
