import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { findFreePort } from '#platform/ports'
import { withTempDir } from '#test-kit'
import { installationEnvironment, runWaypost, startInstallation } from './installation.ts'

/** Clicks in several ways, asked after a failure: whether they were late or are not found. */
const LATER_REPORTS = [
  'metrics=clicks',
  'metrics=clicks&advertiser_id=demo-lumen',
  'metrics=clicks&advertiser_id=demo-lumen&tz=Asia/Kolkata',
  'metrics=clicks,bots,uniques&group_by=outcome,hour',
]

test('the demo shows clicks, conversions, an explained click and verified postbacks, and leaves its endpoints paused', async (t) => {
  const installation = await startInstallation({ dataDir: join(withTempDir(t), 'data') })
  t.after(() => installation.stop())
  const demo = await installation.waypost('demo', '--seconds', '6', '--rate', '60', '--port', '0', '--seed', '3')
  if (demo.code !== 0) {
    const { stdout } = await installation.waypost('reconcile')
    const later: string[] = []
    for (const query of LATER_REPORTS) {
      const { rows, totals } = await installation.api<{ rows: unknown; totals: unknown }>(`/v1/reports?${query}`)
      later.push(`${query}: ${JSON.stringify({ rows, totals })}`)
    }
    assert.fail([demo.stdout, demo.stderr, installation.output(), stdout, ...later].join('\n'))
  }
  assert.match(demo.stdout, /Visitors from \d{3} countries/)
  for (const offer of ['lumen-arcade', 'lumen-vpn', 'lumen-shop', 'lumen-invest'])
    assert.ok(demo.stdout.includes(offer), offer)
  assert.match(demo.stdout, /decision +The (link|campaign|offer)/)
  const [, verified, all] = /(\d+) of (\d+) signatures verified/.exec(demo.stdout)!
  assert.equal(verified, all)
  assert.ok(Number(all) > 10, demo.stdout)
  const { snapshot } = await installation.api<{
    snapshot: { endpoints: readonly { endpoint_id: string; status: string }[] }
  }>('/v1/config')
  assert.deepEqual(
    snapshot.endpoints.map(({ endpoint_id, status }) => `${endpoint_id} ${status}`),
    ['demo-affiliate paused', 'demo-tracker paused'],
  )
})

test('the demo says what to do where no Waypost runs', async (t) => {
  const env = installationEnvironment({
    dataDir: join(withTempDir(t), 'data'),
    edgePort: await findFreePort(),
    apiPort: await findFreePort(),
  })
  const demo = await runWaypost(['demo'], env)
  assert.equal(demo.code, 1)
  assert.match(
    demo.stdout,
    /No Waypost answers: its edge is not at http:\/\/127\.0\.0\.1:\d+\.\nStart it with `npm start`/,
  )
})
