import type { PostbackBatch } from '#routing'

/** What a request of many messages carries. */
export type BatchBody = {
  readonly body: string
  readonly contentType: 'application/json' | 'application/x-ndjson'
  /** How many of the messages are in it, from the first on; at least one. */
  readonly count: number
}

type Frame = { readonly open: string; readonly joint: string; readonly close: string }

function frameOf({ format, wrapper_key }: PostbackBatch): Frame {
  switch (format) {
    case 'json_array':
      return { open: '[', joint: ',', close: ']' }
    case 'wrapped':
      return { open: `{${JSON.stringify(wrapper_key)}:[`, joint: ',', close: ']}' }
    case 'ndjson':
      return { open: '', joint: '\n', close: '\n' }
    default:
      return format satisfies never
  }
}

/** Line breaks inside of a JSON text stand between its parts only: in strings they are escaped. */
const toLine = (body: string): string => body.replace(/[\r\n]+\s*/g, ' ').trim()

/** How many of the bodies, from the first on, fit into one request: at least one, even where it alone is larger than `max_bytes`. */
export function countTogether(bodies: readonly string[], batch: PostbackBatch): number {
  const { open, joint, close } = frameOf(batch)
  let bytes = Buffer.byteLength(open) + Buffer.byteLength(close) - joint.length
  let count = 0
  for (const body of bodies.slice(0, batch.max_events)) {
    bytes += joint.length + Buffer.byteLength(itemOf(body, batch))
    if (count > 0 && bytes > batch.max_bytes) break
    count += 1
  }
  return count
}

const itemOf = (body: string, { format }: PostbackBatch): string => (format === 'ndjson' ? toLine(body) : body)

/** Puts the bodies of prepared messages together into one, in their order, as many as the endpoint's limits allow. One message is taken
 * even where it alone is larger than `max_bytes`: it would never be sent otherwise.
 *
 * Pure: the same messages give the same bytes, so that a request that is tried again is the same request.
 * @param bodies JSON of each message, at least one
 * @throws {RangeError} there are none (programmer error)
 * @example composeBatch(['{"a":1}', '{"a":2}'], { format: 'wrapped', wrapper_key: 'data', … }).body // '{"data":[{"a":1},{"a":2}]}'
 */
export function composeBatch(bodies: readonly string[], batch: PostbackBatch): BatchBody {
  if (bodies.length === 0) throw new RangeError('A batch has at least one message.')
  const { open, joint, close } = frameOf(batch)
  const taken = bodies.slice(0, countTogether(bodies, batch)).map((body) => itemOf(body, batch))
  return {
    body: `${open}${taken.join(joint)}${close}`,
    contentType: batch.format === 'ndjson' ? 'application/x-ndjson' : 'application/json',
    count: taken.length,
  }
}
