import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node, type Pair } from 'yaml'
import { problem, type Issue, type Problem } from './issues.ts'

/** A value of the file with its place in it. Scalars keep the text as written: `12.50`, `0042` and `NO` stay what they are. */
export type Tree = TreeScalar | TreeMap | TreeList
type Place = { readonly offset: number; readonly parent: Tree | undefined; readonly key: string | number }
export type TreeScalar = Place & { readonly kind: 'scalar'; readonly text: string; readonly isQuoted: boolean }
export type TreeMap = Place & { readonly kind: 'map'; readonly entries: Map<string, TreeEntry> }
export type TreeEntry = { readonly keyOffset: number; readonly value: Tree }
export type TreeList = Place & { readonly kind: 'list'; readonly items: Tree[] }

export const FILE_BYTES_MAX = 16 * 1024 * 1024
/** Anchors may repeat a part of the file; this bounds what a small file can grow to. */
export const VALUES_MAX = 1_000_000
const DEPTH_MAX = 64

/** A parsed file: its tree, and the way from a place in it to line and column. */
export type YamlFile = {
  readonly root: Tree | undefined
  /** Problems of the syntax and duplicate keys. */
  readonly issues: readonly Issue[]
  /** An issue about a value, or about one of its keys. */
  readonly issueAt: (tree: Tree | undefined, key: string | undefined, found: Problem) => Issue
}

/** Parses a configuration file. Never throws: mistakes are issues. */
export function readYaml(text: string): YamlFile {
  const lines = new LineCounter()
  const issueAtOffset = (offset: number, path: string, found: Problem): Issue => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1), path, ...found }
  }
  const refuse = (found: Problem): YamlFile => {
    const issue = issueAtOffset(0, '', found)
    return { root: undefined, issues: [issue], issueAt: () => issue }
  }
  if (Buffer.byteLength(text) > FILE_BYTES_MAX) return refuse(problem('file_too_large', 'The file is over 16 MiB.'))

  const document = parseDocument(text, {
    lineCounter: lines,
    schema: 'failsafe',
    // The library compares each key with every other; the tree below does it with a set.
    uniqueKeys: false,
    prettyErrors: false,
    keepSourceTokens: false,
  })
  const syntaxIssues = document.errors.map((error) =>
    issueAtOffset(error.pos[0], '', problem('yaml_invalid', firstLine(error.message))),
  )
  if (syntaxIssues.length > 0) return { root: undefined, issues: syntaxIssues, issueAt: () => syntaxIssues[0]! }

  const builder = new TreeBuilder(document)
  const root = builder.build(document.contents)
  return {
    root,
    issues: builder.found.map(({ offset, path, found }) => issueAtOffset(offset, path, found)),
    issueAt: (tree, key, found) => {
      const entry = tree?.kind === 'map' && key !== undefined ? tree.entries.get(key) : undefined
      return issueAtOffset(entry?.keyOffset ?? offsetOf(tree), pathOf(tree, key), found)
    },
  }
}

/** An object that has a key is found at its key: its own first line may be that of any of its parts. */
function offsetOf(tree: Tree | undefined): number {
  const { parent, key, kind, offset } = tree ?? { parent: undefined, key: '', kind: 'scalar', offset: 0 }
  const entry = kind === 'map' && parent?.kind === 'map' ? parent.entries.get(String(key)) : undefined
  return entry?.keyOffset ?? offset
}

const firstLine = (message: string): string => message.split('\n', 1)[0]!

/** `offers.summer.prices[0]`, from the root down. */
export function pathOf(tree: Tree | undefined, key?: string | number): string {
  const steps: (string | number)[] = key === undefined ? [] : [key]
  for (let at = tree; at?.parent !== undefined; at = at.parent) steps.unshift(at.key)
  return steps.map((step, index) => stepText(step, index)).join('')
}

function stepText(step: string | number, index: number): string {
  if (typeof step === 'number') return `[${step}]`
  return index === 0 ? step : `.${step}`
}

class TreeBuilder {
  readonly found: { offset: number; path: string; found: Problem }[] = []
  private readonly document: Document
  private count = 0

  constructor(document: Document) {
    this.document = document
  }

  build(node: Node | null): Tree | undefined {
    return node === null ? undefined : this.value(node, undefined, '', 0)
  }

  private value(node: unknown, parent: Tree | undefined, key: string | number, depth: number): Tree {
    const offset = (node as Node | null)?.range?.[0] ?? parent?.offset ?? 0
    const place: Place = { offset, parent, key }
    if (++this.count > VALUES_MAX || depth > DEPTH_MAX) {
      if (this.count === VALUES_MAX + 1 || depth === DEPTH_MAX + 1)
        this.refuse(place, problem('file_too_large', `There are over ${VALUES_MAX} values, or they nest too deep.`))
      return emptyScalar(place)
    }
    if (isAlias(node)) return this.aliased(node, place, depth)
    if (isMap(node)) return this.map(node.items, place, depth)
    if (isSeq(node)) return this.list(node.items, place, depth)
    if (isScalar(node)) {
      const text = node.value === null || node.value === undefined ? '' : String(node.value)
      return { kind: 'scalar', text, isQuoted: node.type !== undefined && node.type !== 'PLAIN', ...place }
    }
    return emptyScalar(place)
  }

  private aliased(node: Node & { resolve(document: Document): unknown }, place: Place, depth: number): Tree {
    const target = node.resolve(this.document)
    if (target !== undefined) return this.value(target, place.parent, place.key, depth + 1)
    this.refuse(place, problem('yaml_invalid', 'The alias names no anchor.'))
    return emptyScalar(place)
  }

  private map(items: readonly Pair[], place: Place, depth: number): TreeMap {
    const map: TreeMap = { kind: 'map', entries: new Map(), ...place }
    for (const item of items) {
      const key = isScalar(item.key) ? String(item.key.value ?? '') : undefined
      const keyOffset = (item.key as Node | null)?.range?.[0] ?? map.offset
      const at = { ...place, offset: keyOffset }
      if (key === undefined) this.refuse(at, problem('yaml_invalid', 'A key must be a word.'))
      else if (key === '<<') this.refuse(at, problem('yaml_invalid', 'Merge keys (<<) are not supported.'))
      else if (map.entries.has(key)) this.refuse(at, problem('id_duplicate', `"${key}" is given twice.`), key)
      else map.entries.set(key, { keyOffset, value: this.value(item.value, map, key, depth + 1) })
    }
    return map
  }

  private list(items: readonly unknown[], place: Place, depth: number): TreeList {
    const list: TreeList = { kind: 'list', items: [], ...place }
    items.forEach((item, index) => list.items.push(this.value(item, list, index, depth + 1)))
    return list
  }

  private refuse(place: Place, found: Problem, key?: string): void {
    const path = [pathOf(place.parent, place.parent === undefined ? undefined : place.key), key]
    this.found.push({
      offset: place.offset,
      path: path.filter((step) => step !== undefined && step !== '').join('.'),
      found,
    })
  }
}

const emptyScalar = (place: Place): TreeScalar => ({ kind: 'scalar', text: '', isQuoted: false, ...place })
