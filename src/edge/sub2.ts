import { decodePercent } from './text.ts'

const SUB2_CHARACTERS_MAX = 200

export type Sub2 =
  | { readonly kind: 'parsed'; readonly keys: Readonly<Record<string, string>>; readonly count: number }
  | { readonly kind: 'refused'; readonly reason: 'sub2_invalid' }

const refused: Sub2 = { kind: 'refused', reason: 'sub2_invalid' }

/** The pairs of a `sub2` such as `geo-TR|dev-mobile`: URL-decoded, split on `|`, each on its first `-`. The first pair of a
 * key counts; keys that are not allowed are left out.
 * @param allowedKeys empty: every key
 * @returns refused when longer than 200 characters or a part is not of the form key-value
 * @example parseSub2('geo-TR|abtest-a-b', new Set()) // { kind: 'parsed', keys: { geo: 'TR', abtest: 'a-b' }, count: 2 }
 */
export function parseSub2(text: string, allowedKeys: ReadonlySet<string>): Sub2 {
  const decoded = decodePercent(text)
  if (decoded.length > SUB2_CHARACTERS_MAX) return refused
  const keys: Record<string, string> = {}
  let count = 0
  for (let start = 0; start <= decoded.length;) {
    const bar = decoded.indexOf('|', start)
    const end = bar === -1 ? decoded.length : bar
    const dash = decoded.indexOf('-', start)
    if (dash <= start || dash > end - 1) return refused
    const key = decoded.slice(start, dash)
    if (isTaken(key, keys, allowedKeys)) {
      keys[key] = decoded.slice(dash + 1, end)
      count += 1
    }
    start = end + 1
  }
  return { kind: 'parsed', keys, count }
}

/** `__proto__` would not become a key but the object's prototype. */
const isTaken = (key: string, keys: Readonly<Record<string, string>>, allowedKeys: ReadonlySet<string>): boolean =>
  (allowedKeys.size === 0 ? key !== '__proto__' : allowedKeys.has(key)) && !Object.hasOwn(keys, key)
