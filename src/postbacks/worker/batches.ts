import { WaypostError } from '#platform/errors'
import { uuidOf } from '#platform/ids'
import type { PostbackBatch, PostbackEndpoint } from '#routing'
import { composeBatch, countTogether } from '../messages/compose-batch.ts'
import type { Claimed } from '../queue/queue.ts'
import { openHeaders } from '../messages/stored-headers.ts'

/** A message that was stored as a part of many: those stored before the endpoint had `batch` may be anything. */
export const isPart = ({ method, body, contentType }: Claimed): boolean =>
  method === 'POST' && body !== null && contentType === 'application/json'

const isSameRequest = (a: Claimed, b: Claimed): boolean =>
  isPart(b) && a.url === b.url && hasSameHeaders(a.headers, b.headers)

/** The same headers sealed twice are two texts. */
function hasSameHeaders(a: Claimed['headers'], b: Claimed['headers']): boolean {
  if (a === b) return true
  try {
    return JSON.stringify(openHeaders(a)) === JSON.stringify(openHeaders(b))
  } catch (error) {
    // Each of them is a try of its own that says what is wrong with its key.
    if (error instanceof WaypostError) return false
    throw error
  }
}

/** How many of the messages, from the first on, go in one request: as many as the limits allow and as share an address and headers.
 * @param waiting at least one
 * @param from index of the first
 * @param countMax integer ≥ 1
 */
export function countForRequest(
  waiting: readonly Claimed[],
  from: number,
  countMax: number,
  batch: PostbackBatch,
): number {
  const first = waiting[from]!
  if (!isPart(first)) return 1
  const most = Math.min(waiting.length, from + Math.min(countMax, batch.max_events))
  const bodies = [first.body!]
  for (let index = from + 1; index < most && isSameRequest(first, waiting[index]!); index += 1)
    bodies.push(waiting[index]!.body!)
  return countTogether(bodies, batch)
}

/** The id of a request of many messages: the same for the same messages, whenever they are sent. That of their event ids, each on a line. */
export const batchIdOf = (eventIds: readonly string[]): string => uuidOf(eventIds.join('\n'))

/** Many messages as one, in the order of their making.
 * @param deliveries at least one; together they are within the limits
 */
export function putTogether(deliveries: readonly Claimed[], endpoint: PostbackEndpoint): Claimed {
  const inOrder = deliveries.toSorted((a, b) => (a.deliveryId < b.deliveryId ? -1 : 1))
  const { body, contentType } = composeBatch(inOrder.map((delivery) => delivery.body!), endpoint.batch!) // prettier-ignore
  const eventId = batchIdOf(inOrder.map((delivery) => delivery.eventId))
  return { ...inOrder[0]!, eventId, body, contentType }
}
