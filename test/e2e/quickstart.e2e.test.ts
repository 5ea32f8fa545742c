import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { findFreePort } from '#platform/ports'
import { withDiskDir } from '#test-kit'
import { eventually, repositoryDir } from './installation.ts'

type Block = { readonly kind: 'server' | 'receiver' | 'run'; readonly commands: string }

/** The commands of the page, in order. ```sh server``` and ```sh receiver``` keep running in terminals of their own. */
function readCommands(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```sh *(server|receiver)?\n(.*?)^```$/gms)].map(([, kind, commands]) => ({
    kind: (kind as 'server' | 'receiver' | undefined) ?? 'run',
    commands: commands!,
  }))
}

type Place = {
  readonly directory: string
  readonly edgePort: number
  readonly apiPort: number
  readonly receiverPort: number
}

/** Only ports and directories differ from the page, so that the test disturbs nothing on the machine. */
const moveTo = (commands: string, { directory, edgePort, apiPort, receiverPort }: Place): string =>
  commands
    .replaceAll('localhost:8080', `localhost:${edgePort}`)
    .replaceAll('localhost:8081', `localhost:${apiPort}`)
    .replaceAll('127.0.0.1:9000', `127.0.0.1:${receiverPort}`)
    .replaceAll('listen(9000,', `listen(${receiverPort},`)
    .replaceAll('/tmp/', `${directory}/`)
    .replaceAll('./data/', `${directory}/data/`)

function startShell(
  t: TestContext,
  commands: string,
  env: NodeJS.ProcessEnv,
): { child: ChildProcess; output: () => string } {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', commands], {
    cwd: repositoryDir,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    process.kill(-child.pid!, 'SIGTERM')
    await ended
  })
  return { child, output: () => output }
}

test('the quickstart does what it says: a conversion that is counted and a postback that is delivered', async (t) => {
  const place: Place = {
    directory: withDiskDir(t),
    edgePort: await findFreePort(),
    apiPort: await findFreePort(),
    receiverPort: await findFreePort(),
  }
  const env = {
    ...process.env,
    WAYPOST_DATA_DIR: join(place.directory, 'data'),
    WAYPOST_EDGE_PORT: String(place.edgePort),
    WAYPOST_API_PORT: String(place.apiPort),
  }
  const blocks = readCommands(readFileSync(join(repositoryDir, 'docs/quickstart.md'), 'utf8')).map((block) => ({
    ...block,
    commands: moveTo(block.commands, place),
  }))
  const [server, receiver] = [
    blocks.find(({ kind }) => kind === 'server')!,
    blocks.find(({ kind }) => kind === 'receiver')!,
  ]
  const waypost = startShell(t, server.commands, env)
  await eventually(
    async () => waypost.output(),
    (output) => output.includes('Waypost runs'),
    60_000,
  )
  const partner = startShell(t, receiver.commands, env)

  const steps = blocks.filter(({ kind }) => kind === 'run').map(({ commands }) => commands)
  const [apply, click, event, report, why, ...others] = steps
  assert.deepEqual(others, [], 'a new step of the page needs its check here')
  assert.match(await run(t, apply!, env), /Applied as version 2\./)
  // The edge hears of a new version at once; the page's reader is slower than that in any case.
  await eventually(
    () => fetch(`http://localhost:${place.edgePort}/lamp`, { method: 'HEAD', redirect: 'manual' }),
    ({ status }) => status === 302,
    10_000,
  )
  const clickId = (await run(t, click!, env)).trim()
  assert.match(clickId, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/)
  const withClick = { ...env, CLICK_ID: clickId }
  assert.equal((await run(t, event!, withClick)).trim(), '204')

  const lines = await eventually(
    async () =>
      partner
        .output()
        .split('\n')
        .filter((line) => line !== ''),
    (received) => received.length >= 2,
    20_000,
  )
  for (const [status, payout] of [
    ['lead', '2.5'],
    ['sale', '30'],
  ] as const) {
    const target = `GET /postback?cid=${clickId}&status=${status}&payout=${payout}&source=newsletter&event_id=`
    assert.ok(
      lines.some((line) => line.startsWith(target) && /&ts=\d+&sig=[0-9a-f]{64}$/.test(line)),
      `${target} in\n${lines.join('\n')}`,
    )
  }

  const counted = await eventually(
    async () => JSON.parse(await run(t, report!, env)) as { rows: readonly Readonly<Record<string, unknown>>[] },
    ({ rows }) => rows[0]?.['sales'] === 1 && rows[0]['clicks'] === 1,
    15_000,
  )
  assert.deepEqual(counted.rows, [
    { campaign_id: 'spring', clicks: 1, leads: 1, sales: 1, payout: '32.50', revenue: '49.00', profit: '16.50' },
  ])
  const story = await run(t, why!, { ...withClick, API_KEY: readKey(place) })
  for (const word of ['newsletter', 'spring', 'account-1', 'payment-1', '30.00', 'delivered'])
    assert.ok(story.includes(word), word)
})

const readKey = ({ directory }: Place): string =>
  (JSON.parse(readFileSync(join(directory, 'data/secrets.json'), 'utf8')) as { owner_api_key: string }).owner_api_key

/** Each step is a shell of its own; what a person's terminal would keep between them comes in by `env`. */
async function run(t: TestContext, commands: string, env: NodeJS.ProcessEnv): Promise<string> {
  const { child, output } = startShell(t, commands, env)
  const [code] = (await once(child, 'close')) as [number | null]
  assert.equal(code, 0, output())
  return output()
}
