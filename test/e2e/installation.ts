import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { prepareGeoFiles } from '#enrichment'
import { findFreePort } from '#platform/ports'

/** The whole program as a process of its own, in a data directory of its own, on free ports. */
export type Installation = {
  readonly dataDir: string
  readonly edgeUrl: string
  readonly apiUrl: string
  readonly apiKey: string
  readonly pid: number
  /** Standard output and error so far. */
  readonly output: () => string
  /** Runs `waypost <args>` against it. */
  readonly waypost: (...args: readonly string[]) => Promise<CommandResult>
  /** GET of the API with the owner's key. @throws {Error} another status than 2xx */
  readonly api: <Answer>(path: string) => Promise<Answer>
  /** Sends the signal and waits for the end. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<{ readonly code: number | null; readonly signal: string | null }>
}

export type CommandResult = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

export type InstallationOptions = {
  readonly dataDir: string
  /** Further environment variables. */
  readonly env?: Readonly<Record<string, string>>
  /** Arguments after `serve`. */
  readonly args?: readonly string[]
  /** Which parts are expected to answer before the start counts as done. */
  readonly waitFor?: readonly ('edge' | 'api')[]
  readonly edgePort?: number
  readonly apiPort?: number
  /** It makes its AS table itself, as on a new machine; else it is given one that was made before. */
  readonly ownAsnTable?: boolean
}

export const repositoryDir = resolve(fileURLToPath(new URL('../..', import.meta.url)))
export const mainModule = join(repositoryDir, 'src/main.ts')

const API_KEY = 'wp_owner_key_of_the_end_to_end_tests_0123456789'
const START_MS_MAX = 60_000
const POLL_MS = 25

/** Starts an installation and waits until it answers.
 * @throws {Error} it ended or did not answer within a minute; the message holds what it printed
 */
export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const edgePort = options.edgePort ?? (await findFreePort())
  const apiPort = options.apiPort ?? (await findFreePort())
  const env = installationEnvironment({ dataDir: options.dataDir, edgePort, apiPort, ...options.env })
  if (options.ownAsnTable !== true) copyAsnTable(join(options.dataDir, 'geo'))
  const child = spawn(process.execPath, [mainModule, 'serve', ...(options.args ?? [])], {
    cwd: repositoryDir,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const collect = (chunk: Buffer): void => void (output += chunk.toString())
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const urls = { edge: `http://127.0.0.1:${edgePort}`, api: `http://127.0.0.1:${apiPort}` }
  for (const part of options.waitFor ?? ['edge', 'api']) {
    await waitUntilReady(`${urls[part]}/readyz`, child, () => output)
  }
  return {
    dataDir: options.dataDir,
    edgeUrl: urls.edge,
    apiUrl: urls.api,
    apiKey: API_KEY,
    pid: child.pid!,
    output: () => output,
    waypost: (...args) => runWaypost(args, env),
    api: (path) => getJson(`${urls.api}${path}`),
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      const [code, endedBy] =
        child.exitCode === null && child.signalCode === null ? await ended : [child.exitCode, child.signalCode]
      return { code, signal: endedBy }
    },
  }
}

/** Two seconds of processor time that the first start of each installation would take. */
function copyAsnTable(geoDirectory: string): void {
  if (existsSync(geoDirectory)) return
  const { asnFile } = prepareGeoFiles(join(repositoryDir, 'node_modules/.cache/waypost-geo'))
  mkdirSync(geoDirectory, { recursive: true, mode: 0o700 })
  copyFileSync(asnFile, join(geoDirectory, 'asn.bin'))
}

/** Environment of a process of the installation; `dataDir`, `edgePort` and `apiPort` under the names that config.ts reads. */
export function installationEnvironment(
  settings: { readonly dataDir: string; readonly edgePort: number; readonly apiPort: number } & Readonly<
    Record<string, string | number>
  >,
): NodeJS.ProcessEnv {
  const { dataDir, edgePort, apiPort, ...more } = settings
  return {
    ...process.env,
    WAYPOST_DATA_DIR: dataDir,
    WAYPOST_EDGE_PORT: String(edgePort),
    WAYPOST_API_PORT: String(apiPort),
    // Several processes of a test may have the page for operators: each where there is room.
    WAYPOST_METRICS_PORT: '0',
    WAYPOST_API_KEY: API_KEY,
    ...more,
  }
}

/** Runs one command of the CLI to its end. */
export async function runWaypost(args: readonly string[], env: NodeJS.ProcessEnv): Promise<CommandResult> {
  const child = spawn(process.execPath, [mainModule, ...args], {
    cwd: repositoryDir,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

async function waitUntilReady(url: string, child: ChildProcess, output: () => string): Promise<void> {
  const deadline = performance.now() + START_MS_MAX
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the installation ended with ${child.exitCode ?? child.signalCode}:\n${output()}`)
    if (await answersWell(url)) return
    await new Promise((done) => setTimeout(done, POLL_MS))
  }
  child.kill('SIGKILL')
  throw new Error(`${url} did not answer within ${START_MS_MAX} ms:\n${output()}`)
}

async function answersWell(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    // Nobody listens there yet.
    return false
  }
}

async function getJson<Answer>(url: string): Promise<Answer> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${API_KEY}` } })
  const text = await response.text()
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}: ${text}`)
  return JSON.parse(text) as Answer
}

/** Asks again and again until the answer is accepted. @throws {Error} with the last answer after `timeoutMs` */
export async function eventually<Answer>(
  ask: () => Promise<Answer>,
  accepts: (answer: Answer) => boolean,
  timeoutMs: number,
): Promise<Answer> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (accepts(answer)) return answer
    if (performance.now() > deadline)
      throw new Error(`not within ${timeoutMs} ms; the last answer was ${JSON.stringify(answer)}`)
    await new Promise((done) => setTimeout(done, POLL_MS))
  }
}
