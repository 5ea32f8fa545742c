import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { findFreePort } from '#platform/ports'
import { withDiskDir } from '#test-kit'
import { eventually, installationEnvironment, repositoryDir, runWaypost, startInstallation } from './installation.ts'

const CONFIGURATION = `
advertisers:
  acme: { domains: [shop.example.com] }
offers:
  lamp:
    advertiser_id: acme
    prices: [{ type: lead, payout: '1.00', revenue: '2.00' }]
    landing_url: https://shop.example.com/?clickid={clickid}
links:
  lamp: { offer_id: lamp }
`

/** Processes whose command line or working directory names this data directory. */
function processesOf(dataDir: string): readonly string[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return []
    try {
      const commandLine = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ')
      const environment = readFileSync(`/proc/${entry}/environ`, 'utf8')
      return commandLine.includes(dataDir) || environment.includes(`WAYPOST_DATA_DIR=${dataDir}`)
        ? [`${entry} ${commandLine}`]
        : []
    } catch {
      // It ended while we looked, or it is not ours to look at.
      return []
    }
  })
}

const clickStatus = async (edgeUrl: string): Promise<number> => {
  const response = await fetch(`${edgeUrl}/lamp`, { redirect: 'manual' })
  await response.arrayBuffer()
  return response.status
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`starts on nothing, is configured, and leaves no process behind after ${signal}`, async (t) => {
    const directory = withDiskDir(t)
    const dataDir = join(directory, 'data')
    const installation = await startInstallation({ dataDir, ownAsnTable: true })
    t.after(() => installation.stop('SIGKILL'))
    const file = join(directory, 'waypost.yaml')
    writeFileSync(file, CONFIGURATION)
    assert.equal((await installation.waypost('apply', file)).code, 0)
    await eventually(
      () => clickStatus(installation.edgeUrl),
      (status) => status === 302,
      10_000,
    )
    assert.ok(processesOf(dataDir).length >= 3, 'main, edge and postgres')
    assert.deepEqual(await installation.stop(signal), { code: 0, signal: null })
    assert.deepEqual(
      await eventually(
        async () => processesOf(dataDir),
        (left) => left.length === 0,
        5_000,
      ),
      [],
    )
  })
}

test('a second start changes nothing and goes on with what was there', async (t) => {
  const directory = withDiskDir(t)
  const dataDir = join(directory, 'data')
  const first = await startInstallation({ dataDir })
  t.after(() => first.stop('SIGKILL'))
  const file = join(directory, 'waypost.yaml')
  writeFileSync(file, CONFIGURATION)
  await first.waypost('apply', file)
  await eventually(
    () => clickStatus(first.edgeUrl),
    (status) => status === 302,
    10_000,
  )
  const secrets = readFileSync(join(dataDir, 'secrets.json'), 'utf8')
  await first.stop()
  const second = await startInstallation({ dataDir })
  t.after(() => second.stop('SIGKILL'))
  assert.equal(await clickStatus(second.edgeUrl), 302)
  assert.match((await second.waypost('apply', file)).stdout, /Nothing to change: version 2/)
  assert.equal(readFileSync(join(dataDir, 'secrets.json'), 'utf8'), secrets)
  const report = await eventually(
    () => second.api<{ totals: { clicks: number } }>('/v1/reports?metrics=clicks'),
    ({ totals }) => totals.clicks >= 2,
    10_000,
  )
  assert.ok(report.totals.clicks >= 2)
  assert.deepEqual(await second.stop(), { code: 0, signal: null })
})

test('a start after kill -9 of the main process takes over what it left behind', async (t) => {
  const dataDir = join(withDiskDir(t), 'data')
  const first = await startInstallation({ dataDir })
  await first.stop('SIGKILL')
  const second = await startInstallation({ dataDir })
  t.after(() => second.stop('SIGKILL'))
  assert.deepEqual(await second.stop(), { code: 0, signal: null })
  assert.deepEqual(
    await eventually(
      async () => processesOf(dataDir),
      (left) => left.length === 0,
      15_000,
    ),
    [],
  )
})

test('npm start ends with what it started when the terminal sends Ctrl-C', async (t) => {
  const dataDir = join(withDiskDir(t), 'data')
  const edgePort = await findFreePort()
  const env = installationEnvironment({ dataDir, edgePort, apiPort: await findFreePort() })
  const npm = spawn('npm', ['start'], { cwd: repositoryDir, env, stdio: 'ignore', detached: true })
  const exited = once(npm, 'exit')
  await eventually(
    () =>
      fetch(`http://127.0.0.1:${env['WAYPOST_API_PORT']}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    (isReady) => isReady,
    60_000,
  )
  // Ctrl-C reaches every process of the terminal's foreground group.
  process.kill(-npm.pid!, 'SIGINT')
  await exited
  assert.deepEqual(
    await eventually(
      async () => processesOf(dataDir),
      (left) => left.length === 0,
      15_000,
    ),
    [],
  )
})

for (const [name, value, message] of [
  ['WAYPOST_EDGE_PORT', 'eighty', /WAYPOST_EDGE_PORT=eighty: must be a whole number/],
  ['DATABASE_URL', 'mysql://db/x', /DATABASE_URL=…: must be a URL that starts with postgres/],
  ['WAYPOST_TRUSTED_PROXIES', 'cloudflare', /WAYPOST_TRUSTED_PROXIES=cloudflare/],
] as const) {
  test(`refuses to start with ${name}=${value}, in one line, before it makes anything`, async (t) => {
    const dataDir = join(withDiskDir(t), 'data')
    const env = installationEnvironment({ dataDir, edgePort: 1, apiPort: 2, [name]: value })
    const result = await runWaypost(['serve'], env)
    assert.equal(result.code, 1)
    assert.match(result.stderr, message)
    assert.equal(result.stderr.trim().split('\n').length, 1)
    assert.equal(existsSync(dataDir), false)
  })
}
