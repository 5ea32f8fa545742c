import { decodePercent } from './text.ts'

const SUB2_CHARACTERS_MAX = 200

export type Sub2 =
  | { readonly kind: 'parsed'; readonly keys: Readonly<Record<string, string>> }
  | { readonly kind: 'refused'; readonly reason: 'sub2_invalid' }

const refused: Sub2 = { kind: 'refused', reason: 'sub2_invalid' }

/** The pairs of a `sub2` such as `geo-TR|dev-mobile`: URL-decoded, split on `|`, each on its first `-`. The first pair of a
 * key counts; keys that are not allowed are left out.
 * @param allowedKeys empty: every key
 * @returns refused when longer than 200 characters or a part is not of the form key-value
 * @example parseSub2('geo-TR|abtest-a-b', new Set()) // { kind: 'parsed', keys: { geo: 'TR', abtest: 'a-b' } }
 */
export function parseSub2(text: string, allowedKeys: ReadonlySet<string>): Sub2 {
  const decoded = decodePercent(text)
  if (decoded.length > SUB2_CHARACTERS_MAX) return refused
  const keys: Record<string, string> = {}
  for (const part of decoded.split('|')) {
    const dash = part.indexOf('-')
    if (dash < 1) return refused
    const key = part.slice(0, dash)
    // `__proto__` would not become a key but the object's prototype.
    if (key === '__proto__' || Object.hasOwn(keys, key)) continue
    if (allowedKeys.size === 0 || allowedKeys.has(key)) keys[key] = part.slice(dash + 1)
  }
  return { kind: 'parsed', keys }
}
