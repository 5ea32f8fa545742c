import type { PatternRule } from './rule-list.ts'

/** A rule of uap-core for a browser or a system. */
export type ProductRule = PatternRule & {
  /** Text with `$1`…`$9`; left out: the first group. */
  readonly family?: string | undefined
  /** Templates of the version's parts, most significant first; where one is left out: the groups 2, 3, 4. */
  readonly version: readonly (string | undefined)[]
}

export type Product = { readonly family: string; readonly version: readonly string[] }

/** Parts of a version that are kept. */
const VERSION_PARTS = 3

/** Name and version that a rule reads from what it matched. A part that is missing ends the version.
 * @returns undefined where the rule leaves no name
 * @see uap-core, docs/specification.md
 */
export function productOf(rule: ProductRule, matched: RegExpExecArray): Product | undefined {
  const family = fillGroups(rule.family, matched, 1)
  if (family === undefined) return undefined
  const version: string[] = []
  for (let part = 0; part < VERSION_PARTS; part += 1) {
    const text = fillGroups(rule.version[part], matched, part + 2)
    if (text === undefined) break
    version.push(text)
  }
  return { family, version }
}

/** A template with its groups filled in, or the group of the given number where there is no template. */
export function fillGroups(template: string | undefined, matched: RegExpExecArray, group: number): string | undefined {
  const text = template === undefined ? matched[group] : template.replace(/\$(\d)/g, (_, n) => matched[Number(n)] ?? '')
  return text?.trim() || undefined
}
