import { problem, type Issue } from './issues.ts'
import { isNull, readShape, report, type Reading, type Reference, type ShapeSchema } from './check-shape.ts'
import {
  configurationFileSchema,
  sectionNames,
  type FileAdvertiser,
  type FileAffiliate,
  type FileCampaign,
  type FileEndpoint,
  type FileFraud,
  type FileLink,
  type FileOffer,
  type SectionName,
} from './file-schema.ts'
import { didYouMean } from './suggest.ts'
import { formats, type FormatName } from './value-formats.ts'
import { readYaml, type Tree, type TreeEntry, type TreeMap } from './yaml-tree.ts'

/** What a file says, as far as it could be read: broken objects are left out, with their issues in `reading`. */
export type ReadFile = {
  readonly reading: Reading
  readonly prune: boolean
  /** `named`: the file says what the fallback is; without a URL it takes it away. */
  readonly fallback: { readonly kind: 'unnamed' } | { readonly kind: 'named'; readonly url: string | undefined }
  /** `named`: the file says how fraud is scored; without settings it is not. */
  readonly fraud: { readonly kind: 'unnamed' } | { readonly kind: 'named'; readonly settings: FileFraud | undefined }
  /** Entries by name; undefined: the file takes the list away. */
  readonly lists: ReadonlyMap<string, readonly string[] | undefined>
  readonly advertisers: Map<string, FileAdvertiser>
  readonly affiliates: Map<string, FileAffiliate>
  readonly offers: Map<string, FileOffer>
  readonly campaigns: Map<string, FileCampaign>
  readonly links: Map<string, FileLink>
  readonly endpoints: Map<string, FileEndpoint>
  /** Every id that the file names as an object, broken ones included: a reference to one of them is not a second mistake. */
  readonly named: Readonly<Record<SectionName, ReadonlySet<string>>>
}

const fileShape = configurationFileSchema as unknown as ShapeSchema

/** Reads the YAML text against the schema. Pure, never throws; what it finds wrong is in `reading.issues`. */
export function readFile(text: string): ReadFile {
  const file = readYaml(text)
  const issues: Issue[] = [...file.issues]
  const references: Reference[] = []
  const reading: Reading = { file, issues, references, treeOf: new WeakMap() }
  const root = rootMap(file.root, reading)
  const sections = Object.fromEntries(
    sectionNames.map((name) => [name, readSection(root?.entries.get(name)?.value, name, reading)]),
  ) as unknown as Pick<ReadFile, SectionName>
  const named = Object.fromEntries(
    sectionNames.map((name) => [name, namedIds(root?.entries.get(name)?.value)]),
  ) as Record<SectionName, ReadonlySet<string>>
  return {
    reading,
    prune: readTop(root, 'prune', reading) === true,
    fallback: readFallback(root, reading),
    fraud: readFraudSection(root, reading),
    lists: readLists(root, reading),
    named,
    ...sections,
  }
}

/** An empty file is a file without objects. */
function rootMap(root: Tree | undefined, reading: Reading): TreeMap | undefined {
  if (root === undefined || isNull(root)) return undefined
  if (root.kind !== 'map') {
    report(reading, root, problem('type_wrong', 'The file must be an object with sections such as "offers:".'))
    return undefined
  }
  const known = Object.keys(fileShape.properties ?? {})
  for (const key of root.entries.keys())
    if (!known.includes(key))
      report(reading, root, problem('key_unknown', `There is no section "${key}".`, didYouMean(key, known)), key)
  return root
}

function readTop(root: TreeMap | undefined, key: string, reading: Reading): unknown {
  const entry = root?.entries.get(key)
  const schema = fileShape.properties?.[key]
  return entry === undefined || schema === undefined || isNull(entry.value)
    ? undefined
    : readShape(entry.value, schema, reading)
}

function readFallback(root: TreeMap | undefined, reading: Reading): ReadFile['fallback'] {
  if (!root?.entries.has('fallback_url')) return { kind: 'unnamed' }
  return { kind: 'named', url: readTop(root, 'fallback_url', reading) as string | undefined }
}

function readFraudSection(root: TreeMap | undefined, reading: Reading): ReadFile['fraud'] {
  if (!root?.entries.has('fraud')) return { kind: 'unnamed' }
  return { kind: 'named', settings: readTop(root, 'fraud', reading) as FileFraud | undefined }
}

function readLists(root: TreeMap | undefined, reading: Reading): ReadFile['lists'] {
  const tree = root?.entries.get('lists')?.value
  const lists = new Map<string, readonly string[] | undefined>()
  if (tree === undefined || isNull(tree)) return lists
  // Those that are taken away have no entries to read.
  const isKept = ([, { value }]: [string, TreeEntry]): boolean => !isNull(value)
  const written = tree.kind === 'map' ? { ...tree, entries: new Map([...tree.entries].filter(isKept)) } : tree
  const read = readShape(written, fileShape.properties!['lists']!, reading) as Record<string, string[]> | undefined
  for (const [name, entries] of Object.entries(read ?? {})) lists.set(name, entries)
  if (tree.kind === 'map') for (const entry of tree.entries) if (!isKept(entry)) lists.set(entry[0], undefined)
  return lists
}

const namedIds = (tree: Tree | undefined): ReadonlySet<string> =>
  new Set(tree?.kind === 'map' ? tree.entries.keys() : [])

/** Objects are read one by one, so that a mistake in one does not hide those of the others. */
function readSection(tree: Tree | undefined, name: SectionName, reading: Reading): Map<string, never> {
  const objects = new Map<string, never>()
  if (tree === undefined || isNull(tree)) return objects
  const schema = fileShape.properties?.[name] ?? {}
  if (tree.kind !== 'map') {
    report(reading, tree, problem('type_wrong', `"${name}" must be an object: one entry for each id.`))
    return objects
  }
  if (tree.entries.size > (schema.maxProperties ?? Infinity))
    report(reading, tree, problem('value_out_of_range', `There are more than ${schema.maxProperties} entries.`))
  const objectShape = Object.values(schema.patternProperties ?? {})[0] ?? {}
  for (const [id, entry] of tree.entries) {
    const found = formats[schema.format as FormatName](id)
    if (found !== undefined) report(reading, tree, found, id)
    const object = readObjectOf(entry.value, objectShape, reading)
    if (object !== undefined && found === undefined) objects.set(id, object as never)
  }
  return objects
}

/** `anna:` with nothing after it has every default; an absent one needs no other key. */
function readObjectOf(tree: Tree, shape: ShapeSchema, reading: Reading): unknown {
  const place = { offset: tree.offset, parent: tree.parent, key: tree.key }
  const map: Tree = isNull(tree) ? { kind: 'map', entries: new Map(), ...place } : tree
  const state = map.kind === 'map' ? map.entries.get('state')?.value : undefined
  const isAbsent = state?.kind === 'scalar' && state.text === 'absent'
  return readShape(map, isAbsent ? { ...shape, required: [] } : shape, reading)
}
