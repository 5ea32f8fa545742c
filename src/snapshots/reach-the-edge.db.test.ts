import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { applyConfiguration, restoreVersion } from '#configuration'
import { withEdge, type TestEdge, type TestEdgeOptions } from '#edge/test-edge'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import type { Pool } from '#platform/postgres'
import type { ClickRecord } from '#records'
import { withDatabase, withTempDir } from '#test-kit'

import { followSnapshots } from './follow-snapshots.ts'

const worldWith = (host: string): string => `
advertisers: { acme: {} }
offers:
  lamp:
    advertiser_id: acme
    landing_url: "https://${host}.example/?v={campaign_name}"
    prices: [{ type: sale, payout: 1, revenue: 2 }]
campaigns: { main: { advertiser_id: acme, name: "${host}", offer_id: lamp } }
`

/** An edge that follows the configuration of a real database, as the threads of an edge process do. */
async function withFollowingEdge(
  t: TestContext,
  options: TestEdgeOptions = {},
): Promise<{ edge: TestEdge; pool: Pool }> {
  const logLines = createLogLines('test', 'silent')
  const cacheFile = join(withTempDir(t), 'snapshot.json')
  let stop = (): Promise<void> => Promise.resolve()
  t.after(() => stop())
  const { pool, url } = await withDatabase(t)
  await apply(pool, 'first')
  const snapshots = followSnapshots({ databaseUrl: url, cacheFile, logLines, clock: systemClock })
  stop = () => snapshots.stop()
  await snapshots.firstLook()
  const edge = await withEdge(t, snapshots.current(), options)
  snapshots.onChange((snapshot) => edge.snapshots.take(snapshot))
  return { edge, pool }
}

async function apply(pool: Pool, host: string): Promise<void> {
  const applied = await applyConfiguration(pool, worldWith(host), { by: 'test' })
  assert.ok(applied.kind === 'applied', JSON.stringify(applied))
}

const hostOf = async ({ ask }: TestEdge): Promise<string> =>
  new URL(String((await ask('/click?c=main')).headers.location)).hostname.split('.')[0]!

async function msUntil(edge: TestEdge, host: string): Promise<number> {
  const startedAt = performance.now()
  while ((await hostOf(edge)) !== host) assert.ok(performance.now() - startedAt < 10_000, `${host} never came`)
  return performance.now() - startedAt
}

test('a change of the configuration is what the edge serves within a second, and so is a restored version', async (t) => {
  const { edge, pool } = await withFollowingEdge(t)
  assert.equal(await hostOf(edge), 'first')
  const took: number[] = []
  for (const host of ['second', 'third', 'fourth']) {
    await apply(pool, host)
    took.push(await msUntil(edge, host))
  }
  await restoreVersion(pool, 1, { by: 'test', dryRun: false })
  took.push(await msUntil(edge, 'first'))
  t.diagnostic(`ms from the end of the apply to the first click: ${took.map((ms) => ms.toFixed(1)).join(', ')}`)
  assert.deepEqual(took.filter((ms) => ms >= 1_000), []) // prettier-ignore
})

test('a click that is under way while the configuration changes sees the version that it began with', async (t) => {
  const arrived = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  let isHeld = true
  const { edge, pool } = await withFollowingEdge(t, {
    append: (append) => async (payload) => {
      if (!isHeld) return append(payload)
      isHeld = false
      arrived.resolve()
      await gate.promise
      return append(payload)
    },
  })
  const underWay = edge.ask('/click?c=main')
  await arrived.promise
  await apply(pool, 'second')
  await msUntil(edge, 'second')
  gate.resolve()
  const answer = await underWay
  assert.equal(answer.headers.location?.split('&')[0], 'https://first.example/?v=first')
  const records = (await edge.records()) as readonly ClickRecord[]
  // It was appended after a click of the new version.
  assert.deepEqual([records.at(-2)!.config_version, records.at(-1)!.config_version], [2, 1])
})

test('clicks beside changes are each of one version: where they went is what that version says', async (t) => {
  const { edge, pool } = await withFollowingEdge(t)
  const hosts = ['first', 'second', 'third', 'fourth', 'fifth']
  let isChanging = true
  const changing = (async () => {
    for (const host of hosts.slice(1)) {
      await apply(pool, host)
      await msUntil(edge, host)
    }
    isChanging = false
  })()
  while (isChanging) {
    const answers = await Promise.all(Array.from({ length: 8 }, () => edge.ask('/click?c=main')))
    for (const { headers } of answers) {
      const target = new URL(String(headers.location))
      // The host is of the offer, the name of the campaign: both come from one version.
      assert.equal(target.hostname, `${target.searchParams.get('v')}.example`)
    }
  }
  await changing
  for (const { config_version, click_id } of (await edge.records()) as readonly ClickRecord[])
    assert.ok(config_version >= 1 && config_version <= hosts.length, click_id)
})
