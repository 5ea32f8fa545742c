import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import autocannon from 'autocannon'

/** One HTTP request as sent; the same list goes to both servers of a comparison. */
export type LoadRequest = {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export type LoadResult = {
  readonly requests_per_second: number
  readonly p99_ms: number
  /** Answers with a status over 399, broken connections and timeouts. */
  readonly errors: number
}

export type LoadOptions = {
  readonly port: number
  readonly requests: readonly LoadRequest[]
  readonly connections: number
  readonly seconds: number
}

/** `wrk` where it is on the path: it costs a fraction of the processor time that a Node client takes from the server. */
export const loadTool: 'wrk' | 'autocannon' = isOnPath('wrk') ? 'wrk' : 'autocannon'

/** As many requests as the server takes over the connections, round and round through the list. */
export const runLoad = (options: LoadOptions): Promise<LoadResult> =>
  loadTool === 'wrk' ? runWrk(options) : runAutocannon(options)

function isOnPath(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined
}

async function runWrk(options: LoadOptions): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'waypost-wrk-'))
  try {
    const script = join(folder, 'requests.lua')
    writeFileSync(script, luaScript(options))
    const { stdout } = await promisify(execFile)(
      'wrk',
      ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--timeout', '5s', '-s', script, `http://127.0.0.1:${options.port}`],
      { maxBuffer: 1 << 20 },
    ) // prettier-ignore
    const line = stdout.split('\n').find((text) => text.startsWith('{"requests"'))
    if (line === undefined) throw new Error(`wrk gave no summary: ${stdout}`)
    const summary = JSON.parse(line) as { requests: number; duration_us: number; p99_us: number; errors: number }
    return {
      requests_per_second: (summary.requests / summary.duration_us) * 1e6,
      p99_ms: summary.p99_us / 1000,
      errors: summary.errors,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Requests are put together before the run, so that wrk only copies bytes while it measures. */
function luaScript({ port, requests }: LoadOptions): string {
  const lines = requests.map((request) => `  ${luaString(httpText(request, port))},`)
  return `local requests = {
${lines.join('\n')}
}
local at = 0
request = function()
  at = at % #requests + 1
  return requests[at]
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"duration_us":%d,"p99_us":%d,"errors":%d}\\n', summary.requests,
    summary.duration, latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))
end
`
}

/** The bytes of a request in HTTP/1.1, kept alive. */
export function httpText(request: LoadRequest, port: number): string {
  const body = request.body ?? ''
  const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = request.method === 'POST' ? `content-length: ${Buffer.byteLength(body)}\r\n` : ''
  return `${request.method} ${request.path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${headers.join('')}${length}\r\n${body}`
}

const luaString = (text: string): string =>
  `"${text.replace(/[\\"\r\n]/g, (character) => ({ '\\': '\\\\', '"': '\\"', '\r': '\\r', '\n': '\\n' })[character]!)}"`

async function runAutocannon(options: LoadOptions): Promise<LoadResult> {
  const result = await autocannon({
    url: `http://127.0.0.1:${options.port}`,
    connections: options.connections,
    duration: options.seconds,
    requests: options.requests.map((request) => ({
      method: request.method,
      path: request.path,
      headers: { ...request.headers },
      ...(request.body === undefined ? {} : { body: request.body }),
    })),
  })
  return {
    requests_per_second: result.requests.average,
    p99_ms: result.latency.p99,
    errors: result.errors + result['4xx'] + result['5xx'],
  }
}
