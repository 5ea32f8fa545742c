/** A cap from the click to its conversion and back, through the whole program and the kills of its processes. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { withTempDir } from '#test-kit'
import { eventually, startInstallation, type Installation } from './installation.ts'

const CONFIGURATION = `
advertisers:
  acme: { domains: [shop.example.com] }
offers:
  lamp:
    advertiser_id: acme
    prices: [{ type: lead, payout: '1.00', revenue: '2.00' }]
    landing_url: https://shop.example.com/?clickid={clickid}
    postback: { secrets: [secret-of-acme] }
    caps:
      - { cap_id: leads, metric: conversions, period: total, limit: 3 }
      - { cap_id: clicks, metric: clicks, period: total, limit: 100 }
links:
  lamp: { offer_id: lamp }
`

/** @returns the id of the click; undefined where it was not sent on */
async function click({ edgeUrl }: Installation): Promise<string | undefined> {
  const response = await fetch(`${edgeUrl}/lamp`, { redirect: 'manual' })
  await response.arrayBuffer()
  assert.ok([302, 404].includes(response.status), String(response.status))
  const location = response.headers.get('location')
  return location === null ? undefined : new URL(location).searchParams.get('clickid')!
}

async function convert({ edgeUrl }: Installation, clickId: string): Promise<void> {
  const response = await fetch(`${edgeUrl}/postback?click_id=${clickId}&status=lead&secret=secret-of-acme`)
  assert.equal(response.status, 200, await response.text())
}

type Caps = { readonly items: readonly { readonly cap_id: string; readonly used: string; readonly held: string }[] }

/** Waits until a cap has counted and holds so much. */
const levels = (installation: Installation, capId: string, used: number, held: number): Promise<unknown> =>
  eventually(
    () => installation.api<Caps>('/v1/caps?offer_id=lamp'),
    ({ items }) => items.some((row) => row.cap_id === capId && row.used === `${used}` && row.held === `${held}`),
    20_000,
  )

/** Process of the edge. */
function edgeOf({ dataDir }: Installation): number {
  const found = readdirSync('/proc').find((entry) => {
    try {
      const isEdge = readFileSync(`/proc/${entry}/cmdline`, 'utf8').startsWith('waypost edge')
      return isEdge && readFileSync(`/proc/${entry}/environ`, 'utf8').includes(`WAYPOST_DATA_DIR=${dataDir}`)
    } catch {
      // No process, or one that ended while we looked.
      return false
    }
  })
  return Number(found)
}

async function killEdge(installation: Installation): Promise<void> {
  const killed = edgeOf(installation)
  process.kill(killed, 'SIGKILL')
  await eventually(
    async () => edgeOf(installation),
    (pid) => pid > 0 && pid !== killed,
    30_000,
  )
  await eventually(
    () => fetch(`${installation.edgeUrl}/readyz`).then(
      async (answer) => (await answer.arrayBuffer(), answer.ok),
      () => false,
    ), // prettier-ignore
    (isReady) => isReady,
    30_000,
  )
}

test('clicks hold a cap, conversions take it, a rejection frees it, and no kill changes what is counted', async (t) => {
  const directory = withTempDir(t)
  const dataDir = join(directory, 'data')
  const first = await startInstallation({ dataDir })
  t.after(() => first.stop('SIGKILL'))
  const file = join(directory, 'waypost.yaml')
  writeFileSync(file, CONFIGURATION)
  assert.equal((await first.waypost('apply', file)).code, 0)
  const clickIds = [(await eventually(() => click(first), (id) => id !== undefined, 10_000))!] // prettier-ignore
  for (let count = 1; count < 3; count++) clickIds.push((await click(first))!)
  assert.equal(await click(first), undefined)
  await killEdge(first)
  assert.equal(await click(first), undefined, 'what was held before the kill is held after it')
  await levels(first, 'leads', 0, 3)
  for (const clickId of clickIds) await convert(first, clickId)
  await levels(first, 'leads', 3, 0)
  await levels(first, 'clicks', 3, 0)

  await first.stop('SIGKILL')
  const second = await startInstallation({ dataDir })
  t.after(() => second.stop('SIGKILL'))
  await levels(second, 'leads', 3, 0)
  assert.equal(await click(second), undefined)
  const { items } = await second.api<{ items: { conversion_id: string }[] }>('/v1/conversions')
  assert.equal(items.length, 3)
  const rejected = await fetch(`${second.apiUrl}/v1/conversions/${items[0]!.conversion_id}/status`, {
    method: 'POST',
    headers: { authorization: `Bearer ${second.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ status: 'rejected' }),
  })
  assert.equal(rejected.status, 200)
  await levels(second, 'leads', 2, 0)
  await killEdge(second)
  assert.notEqual(await click(second), undefined)
  assert.equal(await click(second), undefined)
  await levels(second, 'leads', 2, 1)
  await levels(second, 'clicks', 4, 0)
  const doctor = await second.waypost('doctor')
  assert.match(doctor.stdout, /^ok {4}caps are counted: the counts can be read, 0 revisions of conversions wait$/m)
  const reconciled = await second.waypost('reconcile')
  assert.equal(reconciled.code, 0, reconciled.stdout)
  for (const check of ['caps_as_revisions', 'caps_as_conversions', 'caps_complete'])
    assert.match(reconciled.stdout, new RegExp(`^ok {4}${check}: `, 'm'))
  const metrics = await (await fetch(`${second.apiUrl}/metrics`)).text()
  assert.match(metrics, /^waypost_caps_whole 1$/m)
  assert.deepEqual(await second.stop(), { code: 0, signal: null })
})
