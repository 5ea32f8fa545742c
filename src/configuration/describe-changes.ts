import { isDeepStrictEqual } from 'node:util'

import { formatAmount } from '#platform/money'
import type { NamedLists } from '#rules'
import { isSecretName } from '#secrets'
import { sectionNames, type SectionName } from './file-schema.ts'
import { singular, type ConfigurationState } from './objects.ts'

/** One difference between two configurations. */
export type Change = {
  readonly kind: 'added' | 'changed' | 'removed'
  /** `advertiser`, `offer`, …, `list` or `setting`. */
  readonly object: string
  readonly id: string
  /** What is different in a changed object; secrets are masked. */
  readonly fields: readonly FieldChange[]
}
/** One differing value: as JSON text, amounts as decimals; left out where there is none. */
export type FieldChange = { readonly path: string; readonly before?: string; readonly after?: string }

/** Everything in which two configurations differ, in the order of the file's sections. */
export function describeChanges(before: ConfigurationState, after: ConfigurationState): readonly Change[] {
  const changes = [
    ...listChangesByName(before.lists ?? {}, after.lists ?? {}),
    ...sectionNames.flatMap((section) => sectionChanges(section, before[section], after[section])),
  ]
  return [...settingChanges('fallback_url', before, after), ...settingChanges('fraud', before, after), ...changes]
}

function settingChanges(
  id: 'fallback_url' | 'fraud',
  { [id]: before }: ConfigurationState,
  { [id]: after }: ConfigurationState,
): Change[] {
  if (isDeepStrictEqual(before, after)) return []
  return [{ kind: 'changed', object: 'setting', id, fields: fieldChanges('', before, after) }]
}

function sectionChanges(
  section: SectionName,
  before: ReadonlyMap<string, object>,
  after: ReadonlyMap<string, object>,
): Change[] {
  const object = singular[section]
  const changes: Change[] = []
  for (const [id, wanted] of after) {
    const present = before.get(id)
    if (present === undefined) changes.push({ kind: 'added', object, id, fields: [] })
    else if (!isDeepStrictEqual(present, wanted))
      changes.push({
        kind: 'changed',
        object,
        id,
        fields: hideKeys(fieldChanges('', present, wanted), present, wanted),
      })
  }
  for (const id of before.keys()) if (!after.has(id)) changes.push({ kind: 'removed', object, id, fields: [] })
  return changes
}

/** A shorter text is found by chance. */
const KEY_LENGTH_MIN = 4

/** What is a secret in one of the two stood in the URL of the other where a template or a person has moved it. */
function hideKeys(fields: FieldChange[], ...states: readonly object[]): FieldChange[] {
  const keys = states
    .flatMap((state) => ('secrets' in state && isPlain(state.secrets) ? Object.values(state.secrets) : []))
    .filter((key): key is string => typeof key === 'string' && key.length >= KEY_LENGTH_MIN)
    .flatMap((key) => [key, encodeURIComponent(key)])
  if (keys.length === 0) return fields
  const hide = (text: string): string => keys.reduce((left, key) => left.replaceAll(key, '(secret)'), text)
  return fields.map(({ path, before, after }) => ({
    path,
    ...(before !== undefined && { before: hide(before) }),
    ...(after !== undefined && { after: hide(after) }),
  }))
}

/** A list may have a hundred thousand entries: they are counted, not shown. */
function listChangesByName(before: NamedLists, after: NamedLists): Change[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted()
  return names.flatMap((name): Change[] => {
    const [earlier, later] = [before[name], after[name]]
    if (earlier === undefined || later === undefined)
      return [{ kind: earlier === undefined ? 'added' : 'removed', object: 'list', id: name, fields: [] }]
    if (isDeepStrictEqual(earlier, later)) return []
    const fields = [{ path: 'entries', before: `${earlier.length} entries`, after: laterText(earlier, later) }]
    return [{ kind: 'changed', object: 'list', id: name, fields }]
  })
}

function laterText(before: readonly string[], after: readonly string[]): string {
  const [earlier, later] = [new Set(before), new Set(after)]
  return `${after.length} entries: ${later.difference(earlier).size} new, ${earlier.difference(later).size} gone`
}

type Plain = Readonly<Record<string, unknown>>
const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value)

function fieldChanges(path: string, before: unknown, after: unknown): FieldChange[] {
  if (isDeepStrictEqual(before, after)) return []
  if (isPlain(before) && isPlain(after))
    return keysOf(before, after).flatMap((key) => fieldChanges(join(path, key), before[key], after[key]))
  const entries = entryChanges(path, before, after)
  // A list whose entries are equal one by one differs in their order only: then both are shown whole.
  if (entries.length > 0) return entries
  return [{ path: shownPath(path), ...shown('before', path, before), ...shown('after', path, after) }]
}

function entryChanges(path: string, before: unknown, after: unknown): FieldChange[] {
  if (isIdList(before) && isIdList(after)) return listChanges(path, before, after)
  if (!isPlainList(before) || !isPlainList(after) || before.length !== after.length) return []
  return before.flatMap((entry, index) => fieldChanges(`${path}[${index}]`, entry, after[index]))
}

const keysOf = (before: Plain, after: Plain): string[] => [...new Set([...Object.keys(before), ...Object.keys(after)])]
const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`)

const entryId = (entry: Plain): unknown => entry['flow_id'] ?? entry['landing_id'] ?? entry['offer_id']
const isPlainList = (value: unknown): value is readonly Plain[] => Array.isArray(value) && value.every(isPlain)
const isIdList = (value: unknown): value is readonly Plain[] =>
  isPlainList(value) && value.every((entry) => entryId(entry) !== undefined)

function listChanges(path: string, before: readonly Plain[], after: readonly Plain[]): FieldChange[] {
  const earlier = new Map(before.map((entry) => [String(entryId(entry)), entry]))
  const later = new Map(after.map((entry) => [String(entryId(entry)), entry]))
  const ids = new Set([...earlier.keys(), ...later.keys()])
  return [...ids].flatMap((id) => fieldChanges(`${path}[${id}]`, earlier.get(id), later.get(id)))
}

const shownPath = (path: string): string => path.replace(/_micros$/, '').replace(/_bp$/, '')

function shown(key: 'before' | 'after', path: string, value: unknown): object {
  return value === undefined ? {} : { [key]: shownValue(path, value) }
}

function shownValue(path: string, value: unknown): string {
  if (path.split(/[.[]/).some(isSecretName)) return '(secret)'
  if (path.endsWith('_micros')) return formatAmount(BigInt(value as number), 2)
  if (path.endsWith('_bp')) return `${Number(value) / 100}%`
  if (/(^|\.)(starts_at|ends_at|previous_secret_until)$/.test(path)) return new Date(value as number).toISOString()
  return JSON.stringify(value, maskSecrets)
}

const maskSecrets = (key: string, value: unknown): unknown => (isSecretName(key) ? '(secret)' : value)
