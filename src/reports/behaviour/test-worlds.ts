import fc from 'fast-check'

import type { FactsClient } from '#platform/clickhouse'

/** Small worlds for tests of the reports on behaviour. Each is of an advertiser of its own, so that many lie in the tables at once. */
export type TestClick = {
  readonly atMs: number
  readonly clickId: string
  readonly visitor: string
  readonly country: string
  readonly landing: string
  readonly isCounted: boolean
}
export type TestEvent = {
  readonly atMs: number
  readonly click: TestClick
  readonly type: string
  readonly site: string
  readonly isRefused: boolean
}
export type TestConversion = {
  readonly atMs: number
  readonly click: TestClick
  readonly type: string
  /** The states that it had, the last one is what it is. */
  readonly statuses: readonly string[]
}
export type TestWorld = {
  readonly clicks: readonly TestClick[]
  readonly events: readonly TestEvent[]
  readonly conversions: readonly TestConversion[]
}

const uuidOf = (world: string, kind: string, index: number): string =>
  `00000000-0000-7000-8000-${Buffer.from(`${world}${kind}`).toString('hex').slice(-6).padStart(6, '0')}${index.toString(16).padStart(6, '0')}`

/** Rows of worlds as they stand in the tables. */
export async function loadWorlds(facts: FactsClient, worlds: ReadonlyMap<string, TestWorld>): Promise<void> {
  const rows = { clicks: [] as object[], events: [] as object[], conversions: [] as object[] }
  for (const [name, world] of worlds) {
    rows.clicks.push(...world.clicks.map((click) => clickRow(name, click)))
    rows.events.push(...world.events.map((event, index) => eventRow(name, event, index)))
    rows.conversions.push(...world.conversions.flatMap((one, index) => conversionRows(name, one, index)))
  }
  for (const table of ['clicks', 'events', 'conversions'] as const) {
    await facts.command({ query: `TRUNCATE TABLE ${table}` })
    if (rows[table].length > 0)
      // Rows of the same contents are different rows: without a token the table would drop the second of two equal inserts.
      await facts.insert({ table, values: rows[table], format: 'JSONEachRow' })
  }
}

const dimensionsOf = (world: string, click: TestClick) => ({
  ...{ click_id: click.clickId, advertiser_id: world, campaign_id: 'main', affiliate_id: 'anna' },
  ...{ country: click.country, landing_id: click.landing, visitor_code: click.visitor },
})
const clickRow = (world: string, click: TestClick): object => ({
  ...dimensionsOf(world, click),
  ...{ at: click.atMs, class: click.isCounted ? 'click' : 'head', outcome: 'redirected' },
})
const eventRow = (world: string, { atMs, click, type, site, isRefused }: TestEvent, index: number): object => ({
  ...dimensionsOf(world, click),
  ...{ at: atMs, click_at: click.atMs, event_id: `${world}-${index}`, type, site },
  refusal: isRefused ? 'duplicate' : '',
})
function conversionRows(world: string, one: TestConversion, index: number): readonly object[] {
  const { atMs, click, type, statuses } = one
  const row = (status: string, sign: number, revision: number): object => ({
    ...dimensionsOf(world, click),
    ...{ at: atMs, click_at: click.atMs, conversion_id: uuidOf(world, 'v', index), type, status, sign, revision },
  })
  return statuses.flatMap((status, at) =>
    at === 0 ? [row(status, 1, 1)] : [row(statuses[at - 1]!, -1, at + 1), row(status, 1, at + 1)],
  )
}

const one = <Value>(...values: Value[]): fc.Arbitrary<Value> => fc.constantFrom(...values)

/** Worlds whose times lie on a coarse grid, so that many things happen at once.
 * @param options.stepMs between two points of the grid
 */
export function worldOf(options: {
  readonly name: string
  readonly fromMs: number
  readonly stepMs: number
  readonly steps: number
  readonly clicksMax: number
}): fc.Arbitrary<TestWorld> {
  const { name, fromMs, stepMs, steps, clicksMax } = options
  const at = fc.integer({ min: 0, max: steps - 1 }).map((index) => fromMs + index * stepMs)
  const clicks = fc
    .array(
      fc.record({
        ...{ atMs: at, visitor: one('', 'v1', 'v2', 'v3', 'v4'), country: one('DE', 'TR', '') },
        ...{ landing: one('one', 'two'), isCounted: one(true, true, true, false) },
      }),
      { minLength: 1, maxLength: clicksMax },
    )
    .map((list) => list.map((click, index): TestClick => ({ ...click, clickId: uuidOf(name, 'c', index) })))
  return clicks.chain((list) => {
    const of = one(...list)
    return fc.record({
      clicks: fc.constant(list),
      events: fc.array(
        fc.record({
          ...{ atMs: at, click: of, type: one('open', 'lp_click', 'reg'), site: one('a', 'b', '') },
          isRefused: one(false, false, false, true),
        }),
        { maxLength: 3 * clicksMax },
      ),
      conversions: fc.array(
        fc.record({
          ...{ atMs: at, click: of, type: one('lead', 'sale') },
          statuses: fc.array(one('pending', 'approved', 'rejected'), { minLength: 1, maxLength: 3 }),
        }),
        { maxLength: clicksMax },
      ),
    })
  })
}

/** One thing that somebody did, in the words of the references. */
export type Moment = { readonly atMs: number; readonly click: TestClick; readonly of: string; readonly type: string; readonly site: string } // prettier-ignore

export type WantedStep = { readonly of: string; readonly type?: string | undefined; readonly status?: readonly string[] | undefined } // prettier-ignore

/** The moments of a step, found with plain loops. */
export function momentsOfStep(world: TestWorld, step: WantedStep): readonly Moment[] {
  if (step.of === 'clicks')
    return world.clicks
      .filter(({ isCounted }) => isCounted)
      .map((click) => ({ atMs: click.atMs, click, of: 'clicks', type: '', site: '' }))
  if (step.of === 'events')
    return world.events
      .filter(({ isRefused, type }) => !isRefused && (step.type === undefined || step.type === type))
      .map(({ atMs, click, type, site }) => ({ atMs, click, of: 'events', type, site }))
  const statuses = step.status ?? ['pending', 'approved']
  return world.conversions
    .filter((row) => statuses.includes(row.statuses.at(-1)!) && (step.type === undefined || step.type === row.type))
    .map(({ atMs, click, type }) => ({ atMs, click, of: 'conversions', type, site: '' }))
}
