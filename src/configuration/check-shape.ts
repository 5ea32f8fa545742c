import type { RuleLists } from '#rules'
import { problem, type Issue, type Problem } from './issues.ts'
import { didYouMean } from './suggest.ts'
import { formats, type FormatName } from './value-formats.ts'
import type { SectionName } from './file-schema.ts'
import type { Tree, TreeList, TreeMap, TreeScalar, YamlFile } from './yaml-tree.ts'

/** The part of JSON Schema that file-schema.ts uses, with our two words `format` and `refersTo`. */
export type ShapeSchema = {
  readonly type?: string | readonly string[]
  readonly enum?: readonly string[]
  readonly properties?: Readonly<Record<string, ShapeSchema>>
  readonly patternProperties?: Readonly<Record<string, ShapeSchema>>
  readonly required?: readonly string[]
  readonly items?: ShapeSchema
  readonly minItems?: number
  readonly maxItems?: number
  readonly maxProperties?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly pattern?: string
  readonly format?: string
  readonly refersTo?: SectionName
  readonly default?: unknown
  readonly description?: string
}

/** An id that stands somewhere in the file and must name something. */
export type Reference = { readonly section: SectionName; readonly id: string; readonly tree: Tree }

/** What reading a file against the schema gives besides the value. */
export type Reading = {
  readonly file: YamlFile
  readonly issues: Issue[]
  readonly references: Reference[]
  /** Where each object and list of the value stands in the file. */
  readonly treeOf: WeakMap<object, Tree>
  /** What rules name with `@`; undefined: there are no lists. Known once the sections of the file were read. */
  lists?: RuleLists | undefined
}

/** Issues collected at most; more would not help anybody. */
export const ISSUES_MAX = 1_000

export function report(reading: Reading, tree: Tree | undefined, found: Problem, key?: string): void {
  if (reading.issues.length < ISSUES_MAX) reading.issues.push(reading.file.issueAt(tree, key, found))
}

/** Left out on purpose: `key:`, `key: ~` and `key: null` mean the default. */
export const isNull = (tree: Tree): boolean =>
  tree.kind === 'scalar' && !tree.isQuoted && (tree.text === '' || tree.text === '~' || tree.text === 'null')

/** Reads a value of the file as the schema says: texts, integers, booleans, lists and objects. Amounts stay text.
 * @returns undefined when an issue was reported for it or for a part of it
 */
export function readShape(tree: Tree, schema: ShapeSchema, reading: Reading): unknown {
  if (schema.format === 'rule') return remember({ rule: tree }, tree, reading)
  if (schema.properties !== undefined) return inKind(tree, 'map', reading, (map) => readObject(map, schema, reading))
  if (schema.patternProperties !== undefined)
    return inKind(tree, 'map', reading, (map) => readRecord(map, schema, reading))
  if (schema.type === 'array') return inKind(tree, 'list', reading, (list) => readList(list, schema, reading))
  return inKind(tree, 'scalar', reading, (scalar) => readScalar(scalar, schema, reading))
}

const kindNames = { scalar: 'a single value', map: 'an object (key: value)', list: 'a list (- value)' } as const

function inKind<Kind extends Tree['kind']>(
  tree: Tree,
  kind: Kind,
  reading: Reading,
  read: (tree: Extract<Tree, { kind: Kind }>) => unknown,
): unknown {
  if (tree.kind === kind) return read(tree as Extract<Tree, { kind: Kind }>)
  report(reading, tree, problem('type_wrong', `This must be ${kindNames[kind]} and is ${kindNames[tree.kind]}.`))
  return undefined
}

function remember<Value extends object>(value: Value, tree: Tree, reading: Reading): Value {
  reading.treeOf.set(value, tree)
  return value
}

function readObject(map: TreeMap, schema: ShapeSchema, reading: Reading): object | undefined {
  const properties = schema.properties ?? {}
  const value: Record<string, unknown> = {}
  let isWhole = true
  for (const [key, entry] of map.entries) {
    const inner = Object.hasOwn(properties, key) ? properties[key] : undefined
    if (inner === undefined) {
      isWhole = false
      report(
        reading,
        map,
        problem('key_unknown', `There is no key "${key}" here.`, didYouMean(key, Object.keys(properties))),
        key,
      )
    } else if (!isNull(entry.value)) {
      value[key] = readShape(entry.value, inner, reading)
      if (value[key] === undefined) isWhole = false
    }
  }
  for (const key of schema.required ?? [])
    if (!map.entries.has(key) || isNull(map.entries.get(key)!.value)) {
      isWhole = false
      report(reading, map, problem('key_missing', `"${key}" is missing.`, properties[key]?.description))
    }
  return isWhole ? remember(value, map, reading) : undefined
}

/** Values by a word that the user chooses. */
function readRecord(map: TreeMap, schema: ShapeSchema, reading: Reading): object | undefined {
  const inner = Object.values(schema.patternProperties ?? {})[0] ?? {}
  if (map.entries.size > (schema.maxProperties ?? Infinity))
    report(reading, map, problem('value_out_of_range', `There are more than ${schema.maxProperties} entries.`))
  const value: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  let isWhole = true
  for (const [key, entry] of map.entries) {
    const found = schema.format === undefined ? undefined : formats[schema.format as FormatName](key)
    if (found !== undefined) report(reading, map, found, key)
    const read = readShape(entry.value, inner, reading)
    if (read === undefined || found !== undefined) isWhole = false
    else value[key] = read
  }
  return isWhole ? remember(value, map, reading) : undefined
}

function readList(list: TreeList, schema: ShapeSchema, reading: Reading): readonly unknown[] | undefined {
  const { minItems = 0, maxItems = Infinity } = schema
  if (list.items.length < minItems || list.items.length > maxItems) {
    report(
      reading,
      list,
      problem(
        'value_out_of_range',
        `The list has ${list.items.length} entries; allowed are ${minItems} to ${maxItems}.`,
      ),
    )
    return undefined
  }
  const values = list.items.map((item) => readShape(item, schema.items ?? {}, reading))
  return values.includes(undefined) ? undefined : remember(values, list, reading)
}

function readScalar(scalar: TreeScalar, schema: ShapeSchema, reading: Reading): unknown {
  const { value, found } = scalarValue(scalar, schema)
  if (found !== undefined) {
    report(reading, scalar, found)
    return undefined
  }
  if (schema.refersTo !== undefined)
    reading.references.push({ section: schema.refersTo, id: scalar.text, tree: scalar })
  return value
}

type ScalarResult = { readonly value?: string | number | boolean; readonly found?: Problem }

function scalarValue({ text }: TreeScalar, schema: ShapeSchema): ScalarResult {
  if (schema.type === 'integer') return integerValue(text, schema)
  if (schema.type === 'boolean') return booleanValue(text)
  if (schema.enum !== undefined && !schema.enum.includes(text))
    return {
      found: problem(
        'value_not_allowed',
        `"${text.slice(0, 80)}" is not possible here.`,
        didYouMean(text, schema.enum),
      ),
    }
  if (text.length < (schema.minLength ?? 0) || text.length > (schema.maxLength ?? Infinity))
    return {
      found: problem(
        'value_out_of_range',
        schema.maxLength === undefined
          ? `The text has ${text.length} characters; it needs at least ${schema.minLength}.`
          : `The text has ${text.length} characters; allowed are ${schema.minLength ?? 0} to ${schema.maxLength}.`,
      ),
    }
  if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(text))
    return { found: problem('value_not_allowed', `"${text.slice(0, 80)}" is not possible here.`, schema.description) }
  const found = schema.format === undefined ? undefined : formats[schema.format as FormatName](text)
  return found === undefined ? { value: text } : { found }
}

function integerValue(text: string, { minimum = -Infinity, maximum = Infinity }: ShapeSchema): ScalarResult {
  if (!/^-?\d{1,15}$/.test(text)) return { found: problem('type_wrong', `"${text.slice(0, 80)}" is no whole number.`) }
  const value = Number(text)
  return value >= minimum && value <= maximum
    ? { value }
    : { found: problem('value_out_of_range', `${text} is not within ${minimum} to ${maximum}.`) }
}

function booleanValue(text: string): ScalarResult {
  if (text === 'true' || text === 'false') return { value: text === 'true' }
  return { found: problem('type_wrong', `"${text.slice(0, 80)}" is neither true nor false.`) }
}
