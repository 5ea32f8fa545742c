import { randomUUID } from 'node:crypto'
import { newClickId } from '#platform/ids'
import type { LogLines } from '#platform/log-lines'
import { inTransaction, type Pool } from '#platform/postgres'
import type { Snapshot } from '#routing'
import { prepareNotices, type NoticeToTell } from '../messages/prepare-notices.ts'
import { storePrepared } from '../queue/enqueue-deliveries.ts'
import { supervise, type Loop } from '../supervise.ts'
import type { Notice } from './notices.ts'

/** Notices are rare, and the endpoints that they are about have failed for hours. */
const INTERVAL_MS = 2_000
const TELL_MAX = 100

/** Those that another process queues at this moment are its own. */
const TAKE = `
  SELECT notice_id, at, kind, endpoint_id, advertiser_id, affiliate_id, details FROM notices
  WHERE queued_at IS NULL ORDER BY notice_id LIMIT ${TELL_MAX} FOR UPDATE SKIP LOCKED`

const MARK = 'UPDATE notices SET queued_at = now() WHERE notice_id = ANY($1::bigint[])'

/** Queues deliveries of the notices that were not told yet, to the endpoints of the configuration that listen to notices. Their
 * deliveries and the mark are one transaction: a crash repeats both or neither, and what is queued is delivered at least once. A
 * notice that nobody listens to is done with: whoever begins to listen hears of what comes then.
 * @returns how many notices
 */
export async function queueNotices(pool: Pool, snapshot: Snapshot): Promise<number> {
  return inTransaction(pool, async (tx) => {
    const { rows } = await tx.query<Notice>(TAKE)
    if (rows.length === 0) return 0
    await storePrepared(tx, prepareNotices(rows.map(toTell), snapshot))
    await tx.query(MARK, [rows.map(({ notice_id }) => notice_id)])
    return rows.length
  })
}

const toTell = (notice: Notice): NoticeToTell => ({
  ...notice,
  eventId: randomUUID(),
  clickId: newClickId(notice.at.getTime()),
})

/** Queues notices as they come, until stopped. Several processes may: each notice is one's. */
export function tellNotices(options: {
  readonly pool: Pool
  readonly snapshots: { readonly current: () => Snapshot | undefined }
  readonly logLines: LogLines
}): Loop {
  return supervise('notices', options.logLines, async () => {
    const snapshot = options.snapshots.current()
    if (snapshot === undefined) return INTERVAL_MS
    const told = await queueNotices(options.pool, snapshot)
    return told === TELL_MAX ? 0 : INTERVAL_MS
  })
}
