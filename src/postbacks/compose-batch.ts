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
  const taken: string[] = []
  let bytes = Buffer.byteLength(open) + Buffer.byteLength(close)
  for (const body of bodies.slice(0, batch.max_events)) {
    const item = batch.format === 'ndjson' ? toLine(body) : body
    const more = Buffer.byteLength(item) + (taken.length === 0 ? 0 : joint.length)
    if (taken.length > 0 && bytes + more > batch.max_bytes) break
    taken.push(item)
    bytes += more
  }
  return {
    body: `${open}${taken.join(joint)}${close}`,
    contentType: batch.format === 'ndjson' ? 'application/x-ndjson' : 'application/json',
    count: taken.length,
  }
}
