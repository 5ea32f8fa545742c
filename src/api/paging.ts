import { isUuid } from '#platform/ids'

import { RequestError } from './errors.ts'

/** Place of a row in a list that is ordered by time and id, newest first: the next page begins after it. An id is a UUID, a number,
 * or a UUID with a name after a tilde.
 */
export type Cursor = { readonly atMs: number; readonly id: string }

/** Which page of a list somebody wants. */
export type PageAsked = {
  readonly limit?: number
  readonly cursor?: string
  /** Default: newest. */
  readonly order?: 'newest' | 'oldest'
}

/** A cursor as the caller sees it: opaque, so that the order behind it can change. */
export const encodeCursor = ({ atMs, id }: Cursor): string =>
  Buffer.from(`${atMs.toString(36)}.${id}`).toString('base64url')

/** What the ids of a list look like. */
type IdForm = 'number' | 'uuid' | 'pair'

const BIGINT_MAX = 2n ** 63n - 1n

const idForms: Readonly<Record<IdForm, (id: string) => boolean>> = {
  number: (id) => /^\d{1,19}$/.test(id) && BigInt(id) <= BIGINT_MAX,
  uuid: isUuid,
  pair: (id) => isUuid(id.slice(0, 36)) && /^~[^\0]{1,63}$/s.test(id.slice(36)),
}

/** @param form of the ids of this list
 * @throws {RequestError} the text is no cursor of ours, or one of another list
 */
export function decodeCursor(text: string | undefined, form: IdForm): Cursor | undefined {
  if (text === undefined) return undefined
  const [, time = '', id = ''] = /^([^.]*)\.(.*)$/s.exec(Buffer.from(text, 'base64url').toString('utf8')) ?? []
  const atMs = Number.parseInt(time, 36)
  if (!/^[0-9a-z]{1,10}$/.test(time) || !idForms[form](id))
    throw new RequestError('request_invalid', 'it is no cursor of this list', 'cursor')
  return { atMs, id }
}

/** One page of rows fetched with a limit of one more than the page has.
 * @param placeOf where a row stands in the order
 */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  placeOf: (row: Row) => Cursor,
  toItem: (row: Row) => Item,
): { readonly items: readonly Item[]; readonly next_cursor: string | null } {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    items: shown.map(toItem),
    next_cursor: rows.length > limit && last !== undefined ? encodeCursor(placeOf(last)) : null,
  }
}
