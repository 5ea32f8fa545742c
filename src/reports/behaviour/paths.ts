import type { Tenant } from '#accounts'
import type { FactsClient } from '#platform/clickhouse'

import { askFacts } from '../ask-facts.ts'
import { dimensionSql, type CompiledQuery } from '../compile-report.ts'
import { findDimension, isOfTime } from '../dimensions.ts'
import type { ActionTable } from '../measures.ts'
import { findMissingDays, type MissingDays, type RawRows } from '../source.ts'
import type { TimeRange } from '../time-range.ts'
import { share, SPILLING } from './answers.ts'
import { behaviourLimits } from './limits.ts'
import {
  compileStepRows, forbidden, invalid, isRefusal, parseScope, parseStep, unitColumn, unitKnown,
  type AskedScope, type AskedStep, type BehaviourDefaults, type Refusal, type Scope, type Step, type Unit,
} from './steps.ts' // prettier-ignore

/** What stands in a path for a row of a table: the value of `by`. */
export type AskedNode = AskedStep & {
  /** A dimension; of events also `type` and `site`, of conversions `type`, `status` and `goal`. Left out: of a click nothing, else
   * the type.
   */
  readonly by?: string | undefined
}

export type AskedPaths = Omit<AskedScope, 'group_by'> & {
  /** One of each table at most. Left out: clicks by landing page, events and conversions by type. */
  readonly nodes?: readonly AskedNode[] | undefined
  /** Where paths begin: at its first moment in the range. Left out, as `end`: at the first row in the range. */
  readonly start?: AskedStep | undefined
  /** Where paths end. */
  readonly end?: AskedStep | undefined
  readonly unit?: Unit | undefined
  readonly window_seconds?: number | undefined
  readonly length?: number | undefined
  /** Whether the same node several times in a row counts once. */
  readonly collapse?: boolean | undefined
}

type Node = { readonly step: Step; readonly by: string; readonly params: Readonly<Record<string, unknown>> }

export type Paths = {
  readonly scope: Scope
  readonly nodes: readonly Node[]
  readonly anchor: { readonly step: Step; readonly isEnd: boolean } | undefined
  readonly unit: Unit
  readonly windowSeconds: number
  readonly length: number
  readonly isCollapsed: boolean
  readonly limit: number
}

export type PathNode = { readonly of: ActionTable; readonly value: string }

export type PathsAnswer = {
  /** Clicks or visitors that have a path. */
  readonly total: number
  readonly paths: readonly {
    readonly nodes: readonly PathNode[]
    readonly count: number
    readonly share: number | null
  }[]
  /** Clicks or visitors of further, rarer paths. */
  readonly other_count: number
  /** What a Sankey diagram is drawn of. Positions count from 1 on from the beginning; of paths with an end backwards from -1. */
  readonly sankey: {
    readonly nodes: readonly (PathNode & { readonly position: number; readonly count: number })[]
    readonly links: readonly {
      readonly position: number
      readonly source: PathNode
      readonly target: PathNode
      readonly count: number
    }[]
    /** Of further, rarer nodes and links, over all positions. */
    readonly other_nodes_count: number
    readonly other_links_count: number
  }
  /** Days of which raw rows are gone. */
  readonly missing_days: readonly MissingDays[]
}

export type ParsedPaths = { readonly kind: 'asked'; readonly paths: Paths } | Refusal

const NODES_BY_DEFAULT: readonly AskedNode[] = [
  { of: 'clicks', by: 'landing_id' },
  { of: 'events' },
  { of: 'conversions' },
]

/** Checks the question against the registries and the tenant's role. Pure. */
export function parsePaths(asked: AskedPaths, tenant: Tenant, defaults: BehaviourDefaults): ParsedPaths {
  const nodes: Node[] = []
  for (const [index, one] of (asked.nodes ?? NODES_BY_DEFAULT).entries()) {
    if (nodes.some(({ step }) => step.table === one.of))
      return invalid(`nodes.${index}.of`, `there is a node of ${one.of} already`)
    const node = parseNode(one, index, tenant, defaults)
    if (isRefusal(node)) return node
    nodes.push(node)
  }
  if (asked.start !== undefined && asked.end !== undefined)
    return invalid('end', 'a path has either a start or an end; use a funnel for both')
  const end = asked.end ?? asked.start
  const anchor = end && parseStep(end, asked.end === undefined ? 'start' : 'end', tenant, defaults)
  if (anchor !== undefined && isRefusal(anchor)) return anchor
  const tables = [...nodes.map(({ step }) => step.table), ...(anchor === undefined ? [] : [anchor.table])]
  const scope = parseScope(asked, tenant, defaults, tables)
  if (isRefusal(scope)) return scope
  return {
    kind: 'asked',
    paths: {
      ...{ scope, nodes, unit: asked.unit ?? 'click', isCollapsed: asked.collapse ?? true },
      anchor: anchor && { step: anchor, isEnd: asked.end !== undefined },
      windowSeconds: asked.window_seconds ?? behaviourLimits.windowSecondsDefault,
      length: asked.length ?? behaviourLimits.pathLengthDefault,
      limit: asked.limit ?? behaviourLimits.pathsDefault,
    },
  }
}

/** Columns besides the dimensions that a node can be named by. */
const OWN_COLUMNS: Readonly<Record<ActionTable, readonly string[]>> = {
  clicks: [],
  events: ['type', 'site'],
  conversions: ['type', 'status', 'goal'],
}

function parseNode(asked: AskedNode, index: number, tenant: Tenant, defaults: BehaviourDefaults): Node | Refusal {
  const path = `nodes.${index}`
  const step = parseStep(asked, path, tenant, defaults)
  if (isRefusal(step)) return step
  const name = asked.by ?? (asked.of === 'clicks' ? undefined : 'type')
  if (name === undefined) return { step, by: `''`, params: {} }
  if (name === 'site' && tenant.role === 'affiliate') return forbidden(`${path}.by`, name, tenant)
  if (OWN_COLUMNS[asked.of].includes(name)) return { step, by: `toString(${name})`, params: {} }
  const dimension = findDimension(name)
  if (dimension === undefined || isOfTime(dimension) || !dimension.tables.includes(asked.of))
    return invalid(`${path}.by`, `${asked.of} cannot be named by "${name}"`)
  if (!dimension.visibleTo.includes(tenant.role)) return forbidden(`${path}.by`, name, tenant)
  const key = `node_key_${index}`
  const params = dimension.kind === 'sub2_key' ? { [key]: dimension.of } : {}
  return { step, by: dimensionSql(dimension, key, asked.of), params }
}

type ItemRow = {
  readonly kind: 'path' | 'node' | 'link'
  readonly position: number
  /** A digit for the table, then the value. */
  readonly labels: readonly string[]
  readonly n: string
  readonly all_of_kind: string
}

/** Nodes and links of a Sankey diagram that are shown. */
const SANKEY_ROWS_MAX = 1_000

/** The most frequent sequences of what clicks or visitors did.
 * @throws {WaypostError} facts_unavailable, query_too_expensive
 */
export async function runPaths(facts: FactsClient, tenant: Tenant, paths: Paths): Promise<PathsAnswer> {
  const missing_days = await findMissingDays(facts, tenant, rowsOfPaths(paths))
  const rows = await askFacts<ItemRow>(facts, compilePaths(paths, tenant))
  const of = (kind: ItemRow['kind']): readonly ItemRow[] => rows.filter((row) => row.kind === kind)
  const sumOf = (list: readonly ItemRow[]): number => list.reduce((sum, { n }) => sum + Number(n), 0)
  const restOf = (list: readonly ItemRow[]): number => Number(list[0]?.all_of_kind ?? 0) - sumOf(list)
  const total = Number(of('path')[0]?.all_of_kind ?? 0)
  const shown = of('path').slice(0, paths.limit)
  return {
    total,
    paths: shown.map(({ labels, n }) => ({
      nodes: labels.map(toNode),
      count: Number(n),
      share: share(Number(n), total),
    })),
    other_count: total - sumOf(shown),
    missing_days,
    sankey: {
      nodes: of('node').map(({ position, labels, n }) => ({ position, ...toNode(labels[0]!), count: Number(n) })),
      links: of('link').map(({ position, labels, n }) => ({
        ...{ position, source: toNode(labels[0]!), target: toNode(labels[1]!), count: Number(n) },
      })),
      other_nodes_count: restOf(of('node')),
      other_links_count: restOf(of('link')),
    },
  }
}

/** In the order in which rows of the same millisecond stand in a path. */
const TABLES: readonly ActionTable[] = ['clicks', 'events', 'conversions']

const toNode = (label: string): PathNode => ({ of: TABLES[Number(label[0])]!, value: label.slice(1) })

function compilePaths(paths: Paths, tenant: Tenant): CompiledQuery {
  const found = compileFound(paths, tenant)
  const first = paths.anchor?.isEnd === true ? '-toInt16(length(path)) - 1 + i' : 'toInt16(i)'
  const items = [
    `[('path', toInt16(0), path)]`,
    `arrayMap(i -> ('node', toInt16(${first}), [path[i]]), range(1, length(path) + 1))`,
    `arrayMap(i -> ('link', toInt16(${first}), [path[i], path[i + 1]]), range(1, length(path)))`,
  ]
  const sql = `SELECT kind, position, labels, n, all_of_kind FROM (
SELECT kind, position, labels, n, sum(n) OVER (PARTITION BY kind) AS all_of_kind FROM (
SELECT tupleElement(item, 1) AS kind, tupleElement(item, 2) AS position, tupleElement(item, 3) AS labels, sum(paths) AS n
FROM (
SELECT arrayJoin(arrayConcat(${items.join(', ')})) AS item, paths FROM (
SELECT path, sum(n) AS paths FROM (
${found.sql}
) GROUP BY path HAVING paths != 0
)) GROUP BY kind, position, labels HAVING n != 0
))
ORDER BY kind, n DESC, position, labels LIMIT ${SANKEY_ROWS_MAX} BY kind
${SPILLING}`
  return { sql, params: found.params }
}

/** Rows of paths with how many have them. Most clicks have nothing behind them: they are counted as a whole, less the ones that have. */
function compileFound(paths: Paths, tenant: Tenant): CompiledQuery {
  const known = compileUnits(paths, tenant)
  const alone = compileAlone(paths, tenant)
  const parts = [
    `SELECT path, toInt64(1) AS n FROM (${known.sql}) WHERE notEmpty(path)`,
    ...(alone === undefined
      ? []
      : [`SELECT [clicked] AS path, toInt64(-1) AS n FROM (${known.sql}) WHERE clicked != ''`, alone.sql]),
  ]
  return { sql: parts.join('\nUNION ALL\n'), params: { ...known.params, ...alone?.params } }
}

const nodeOf = ({ nodes }: Paths, table: ActionTable): Node | undefined =>
  nodes.find(({ step }) => step.table === table)

/** Whether clicks that have nothing else are left out of the units and counted apart. */
const areClicksApart = (paths: Paths): boolean =>
  paths.unit === 'click' &&
  nodeOf(paths, 'clicks') !== undefined &&
  paths.nodes.length > 1 &&
  (paths.anchor === undefined || paths.anchor.step.table === 'clicks')

const labelOf = ({ step, by }: Node): string => `concat('${TABLES.indexOf(step.table)}', ${by}) AS label`

/** Every click in the range as a path of its own, by its label. */
function compileAlone(paths: Paths, tenant: Tenant): CompiledQuery | undefined {
  const node = nodeOf(paths, 'clicks')
  if (!areClicksApart(paths) || node === undefined) return undefined
  const rows = compileStepRows({
    ...{ step: node.step, scope: paths.scope, tenant, range: paths.scope.range, rangeName: 'first' },
    columns: [labelOf(node)],
    where: paths.anchor?.step.condition.sql,
  })
  return {
    sql: `SELECT [label] AS path, toInt64(count()) AS n FROM (${rows.sql}) GROUP BY label`,
    params: { ...rows.params, ...node.params, ...paths.anchor?.step.condition.params },
  }
}

/** One row for each unit: its path, and the label of its click where that would be counted apart too. */
function compileUnits(paths: Paths, tenant: Tenant): CompiledQuery {
  const { anchor, length, isCollapsed } = paths
  const rows = compileMoments(paths, tenant)
  const isEnd = anchor?.isEnd === true
  const from = '{first_from_ms:Int64}'
  const to = '{first_to_ms:Int64}'
  // A row without a label is the anchor.
  const begins = anchor === undefined ? `t >= ${from} AND t < ${to}` : `label = ''`
  const [low, high] = isEnd ? ['begin - {window_ms:Int64}', 'begin'] : ['begin', 'begin + {window_ms:Int64}']
  const near = `arrayFilter(m -> tupleElement(m, 2) != '' AND tupleElement(m, 1) >= ${low} AND tupleElement(m, 1) <= ${high}, moments)`
  const kept = `arraySlice(${near}, ${isEnd ? -behaviourLimits.momentsPerPathMax : 1}, ${behaviourLimits.momentsPerPathMax})`
  const labels = `arrayMap(m -> tupleElement(m, 2), ${kept})`
  const sequence = isCollapsed ? `arrayCompact(${labels})` : labels
  const clicked = `arrayFirst(m -> startsWith(tupleElement(m, 2), '0') AND tupleElement(m, 1) >= ${from} AND tupleElement(m, 1) < ${to}, moments)`
  return {
    sql: `SELECT arraySlice(${sequence}, ${isEnd ? -length : 1}, ${length}) AS path, tupleElement(${clicked}, 2) AS clicked
FROM (SELECT u, minIf(t, ${begins}) AS begin, countIf(${begins}) AS begins, arraySort(groupArray((t, label))) AS moments
FROM (${rows.sql}) GROUP BY u HAVING begins > 0)`,
    params: { ...rows.params, window_ms: paths.windowSeconds * 1_000 },
  }
}

function compileMoments(paths: Paths, tenant: Tenant): CompiledQuery {
  const { nodes, anchor, unit } = paths
  const isApart = areClicksApart(paths)
  const others = isApart ? nodes.filter(({ step }) => step.table !== 'clicks').map((node) => momentsOf(paths, tenant, node)) : [] // prettier-ignore
  const units = others.map(({ sql }) => `SELECT u FROM (${sql})`).join(' UNION ALL ')
  const where = (table: ActionTable): string | undefined =>
    isApart && table === 'clicks' ? `${unitColumn[unit]} IN (${units})` : undefined
  const parts = nodes.map((node) => momentsOf(paths, tenant, node, where(node.step.table)))
  if (anchor !== undefined)
    parts.push(
      compileStepRows({
        ...{ step: anchor.step, scope: paths.scope, tenant, range: paths.scope.range, rangeName: 'first' },
        columns: [`${unitColumn[unit]} AS u`, 'toUnixTimestamp64Milli(at) AS t', `'' AS label`],
        where:
          [unitKnown[unit], where(anchor.step.table)].filter((one) => one !== undefined).join(' AND ') || undefined,
      }),
    )
  return {
    sql: parts.map(({ sql }) => sql).join('\nUNION ALL\n'),
    params: Object.assign(
      { first_from_ms: paths.scope.range.fromMs, first_to_ms: paths.scope.range.toMs },
      ...parts.map(({ params }) => params),
    ) as Record<string, unknown>,
  }
}

function momentsOf(paths: Paths, tenant: Tenant, node: Node, where?: string): CompiledQuery {
  const { scope, unit } = paths
  const rows = compileStepRows({
    ...{ step: node.step, scope, tenant, range: nodeRange(paths), rangeName: 'node' },
    columns: [`${unitColumn[unit]} AS u`, 'toUnixTimestamp64Milli(at) AS t', labelOf(node)],
    where: [unitKnown[unit], where].filter((one) => one !== undefined).join(' AND ') || undefined,
  })
  return { sql: rows.sql, params: { ...rows.params, ...node.params } }
}

/** Paths begin (or end) in the range and go on past it by as much as the window. */
function nodeRange({ scope: { range }, anchor, windowSeconds }: Paths): TimeRange {
  const windowMs = windowSeconds * 1_000
  return anchor?.isEnd === true
    ? { fromMs: range.fromMs - windowMs, toMs: range.toMs }
    : { fromMs: range.fromMs, toMs: range.toMs + windowMs }
}

/** The rows that are read of each node, and of where paths begin or end. */
function rowsOfPaths(paths: Paths): readonly RawRows[] {
  const { nodes, anchor, scope } = paths
  const column = unitColumn[paths.unit]
  const range = nodeRange(paths)
  return [
    ...nodes.map(({ step }): RawRows => ({ table: step.table, range, column })),
    ...(anchor === undefined ? [] : [{ table: anchor.step.table, range: scope.range, column }]),
  ]
}
