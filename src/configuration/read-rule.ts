import { parseRule, validateRule, type Rule, type RuleContext, type RuleLists } from '#rules'
import { report, type Reading } from './check-shape.ts'
import { problem } from './issues.ts'
import { findUnknown, type RulePlace } from './known-to-rules.ts'
import type { Tree, TreeMap } from './yaml-tree.ts'

/** What rules can name. */
export type RuleScope = {
  readonly context: RuleContext
  /** Left out: there are no named lists. */
  readonly lists?: RuleLists | undefined
  /** Where it stands, as far as that decides what is known; left out: the context alone does. */
  readonly place?: RulePlace
}

/** Reads a rule of the file in any of its forms, which mix freely: the text form (`country in (DE, AT) and not bot`), the tree
 * (`all`, `any`, `not`, `field`/`op`/`value`) and the short `{country: [DE, AT], device_type: mobile}`, where all must hold
 * and a list means one of them.
 * @returns undefined when an issue was reported
 */
export function readRule(tree: Tree, reading: Reading, scope: RuleScope): Rule | undefined {
  const draft = new RuleDraft(reading, scope)
  const value = draft.rule(tree, ROOT)
  if (draft.isRefused) return undefined
  const verdict = validateRule(value, ROOT, scope)
  if (verdict.kind === 'valid') {
    const unknown = scope.place && findUnknown(verdict.rule, scope.place)
    if (unknown === undefined) return verdict.rule
    draft.reportAt(ROOT, unknown)
    return undefined
  }
  for (const { path, message } of verdict.errors) draft.reportAt(path, message)
  return undefined
}

const ROOT = 'rule'

/** Reads a rule about clicks. */
export const readClickRule = (tree: Tree, reading: Reading, place: RulePlace): Rule | undefined =>
  readRule(tree, reading, { context: 'click', lists: reading.lists, place })

/** Where a part of the rule stands in the file. */
type Place = { readonly tree: Tree; readonly key?: string }

/** The JSON form of a rule as the file has it, unchecked, with the places of its parts by their paths. */
class RuleDraft {
  isRefused = false
  readonly #reading: Reading
  readonly #scope: RuleScope
  readonly #places = new Map<string, Place>()

  constructor(reading: Reading, scope: RuleScope) {
    this.#reading = reading
    this.#scope = scope
  }

  /** Reports at the part that a path names, else at the nearest one around it. */
  reportAt(path: string, message: string): void {
    let known = path
    while (!this.#places.has(known)) known = known.slice(0, Math.max(known.lastIndexOf('.'), known.lastIndexOf('[')))
    const { tree, key } = this.#places.get(known)!
    report(this.#reading, tree, problem('rule_invalid', message), key)
  }

  rule(tree: Tree, path: string): unknown {
    this.#places.set(path, { tree })
    if (tree.kind === 'scalar') return this.#text(tree.text, path)
    if (tree.kind === 'list' || tree.entries.size === 0) return this.#refuse(path, HINT)
    if (tree.entries.has('field')) return this.#condition(tree, path)
    const keys = [...tree.entries.keys()]
    if (keys.length === 1) return this.#part(tree, keys[0]!, path)
    return { all: keys.map((key, index) => this.#part(tree, key, `${path}.all[${index}]`)) }
  }

  #refuse(path: string, message: string): undefined {
    this.isRefused = true
    this.reportAt(path, message)
    return undefined
  }

  #text(text: string, path: string): unknown {
    const parsed = parseRule(text, this.#scope)
    if (parsed.kind === 'parsed') return parsed.rule
    for (const { column, message } of parsed.errors) this.#refuse(path, `Character ${column} of the rule: ${message}`)
    return undefined
  }

  #part(map: TreeMap, key: string, path: string): unknown {
    const { value } = map.entries.get(key)!
    this.#places.set(path, { tree: map })
    if (key === 'all' || key === 'any') return this.#several(key, value, path)
    if (key === 'not') return { not: this.rule(value, `${path}.not`) }
    this.#places.set(`${path}.field`, { tree: map, key })
    return { field: key, op: value.kind === 'list' ? 'in' : 'is', value: this.#value(value, `${path}.value`) }
  }

  #several(key: 'all' | 'any', tree: Tree, path: string): unknown {
    const at = `${path}.${key}`
    this.#places.set(at, { tree })
    if (tree.kind !== 'list') return { [key]: undefined }
    return { [key]: tree.items.map((item, index) => this.rule(item, `${at}[${index}]`)) }
  }

  #condition(map: TreeMap, path: string): unknown {
    const condition: Record<string, unknown> = {}
    for (const [key, { value }] of map.entries) {
      this.#places.set(`${path}.${key}`, { tree: map, key })
      if (key !== 'value') condition[key] = textOf(value)
    }
    const value = map.entries.get('value')?.value
    if (value !== undefined) condition.value = this.#value(value, `${path}.value`, condition.op === 'between')
    condition.op ??= value?.kind === 'list' ? 'in' : 'is'
    return condition
  }

  /** Texts as they are written: what they must be says the field.
   * @param hasEnds `~` and `null` are open ends
   */
  #value(tree: Tree, path: string, hasEnds = false): unknown {
    this.#places.set(path, { tree })
    if (tree.kind === 'scalar') return tree.text
    if (tree.kind === 'map') return {}
    return tree.items.map((item, index) => {
      this.#places.set(`${path}[${index}]`, { tree: item })
      if (item.kind !== 'scalar') return {}
      return hasEnds && !item.isQuoted && (item.text === '~' || item.text === 'null') ? null : item.text
    })
  }
}

const HINT =
  'A rule is a text like "country in (DE, AT) and not bot", or an object like {country: [DE, AT], device_type: mobile}.'

const textOf = (tree: Tree): string | undefined => (tree.kind === 'scalar' ? tree.text : undefined)
