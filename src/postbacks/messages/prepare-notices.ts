import type { PostbackEndpoint, Snapshot } from '#routing'
import { noticeKinds, type NoticeKind } from '../reasons.ts'
import { compileEndpoint, compileEndpoints } from './compile-endpoints.ts'
import { fillMessage, macroFactsOf, type Prepared, type PreparedDelivery, type WhyNot } from './prepare-deliveries.ts'
import { madeUpSale } from './made-up-sale.ts'
import { toPlainJson } from './standard-body.ts'

/** A notice that is to be told. */
export type NoticeToTell = {
  readonly notice_id: bigint
  readonly at: Date
  readonly kind: NoticeKind
  readonly endpoint_id: string | null
  readonly advertiser_id: string | null
  readonly affiliate_id: string | null
  readonly details: Readonly<Record<string, unknown>>
  /** Its `webhook-id` at every endpoint, in every attempt and replay. */
  readonly eventId: string
  /** A delivery is kept by the day of its click: this id belongs to no click and says when the notice was made. */
  readonly clickId: string
}

/** What is told of a notice: `{type, timestamp, data}` of Standard Webhooks.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md "Payload structure"
 */
export function noticeBody(notice: NoticeToTell): string {
  const { notice_id, at, kind, endpoint_id, advertiser_id, affiliate_id, details } = notice
  const data = { notice_id: String(notice_id), kind, meaning: noticeKinds[kind], endpoint_id, advertiser_id, affiliate_id, details } // prettier-ignore
  return toPlainJson({ type: `notice.${kind}`, timestamp: at.toISOString(), data })
}

const fits = (wanted: string | undefined, actual: string | null): boolean => wanted === undefined || wanted === actual

/** Whether an endpoint is told of a notice. Of itself nobody is told: it hears nothing while it fails. */
const isTold = ({ endpoint_id, scope, triggers }: PostbackEndpoint, notice: NoticeToTell): boolean =>
  triggers.includes('notice') &&
  endpoint_id !== notice.endpoint_id &&
  fits(scope.advertiser_id, notice.advertiser_id) &&
  fits(scope.affiliate_id, notice.affiliate_id)

/** The messages of notices to the endpoints that listen to them, and why others do not go out. Pure. */
export function prepareNotices(notices: readonly NoticeToTell[], snapshot: Snapshot): Prepared {
  const listeners = snapshot.endpoints.filter(({ triggers }) => triggers.includes('notice'))
  const deliveries: PreparedDelivery[] = []
  const whyNot: WhyNot[] = []
  for (const endpoint of listeners)
    for (const notice of notices.filter((one) => isTold(endpoint, one))) {
      const subject = subjectOf(endpoint, notice, snapshot)
      const message =
        endpoint.status === 'paused' ? ({ reason: 'endpoint_paused' } as const) : fillNotice(endpoint, notice, snapshot)
      if ('reason' in message) whyNot.push({ ...subject, ...message, detail: undefined })
      else deliveries.push({ ...subject, ...message })
    }
  return { deliveries, whyNot }
}

/** The address and the headers have no macros, so that any facts fill them. */
export function fillNotice(endpoint: PostbackEndpoint, notice: NoticeToTell, snapshot: Snapshot) {
  const cause = madeUpSale(endpoint, notice.at.getTime())
  const message = fillMessage(
    compileEndpoint(endpoint),
    macroFactsOf(cause, notice.eventId, compileEndpoints(snapshot)),
  )
  return 'reason' in message ? message : { ...message, body: noticeBody(notice) }
}

/** The row belongs to the listener: who is told of others must not show up among the deliveries of those others. */
const subjectOf = ({ endpoint_id, scope }: PostbackEndpoint, notice: NoticeToTell, { version }: Snapshot) => ({
  endpointId: endpoint_id,
  eventId: notice.eventId,
  cause: 'notice',
  advertiserId: scope.advertiser_id,
  affiliateId: scope.affiliate_id,
  campaignId: undefined,
  offerId: undefined,
  clickId: notice.clickId,
  conversionId: undefined,
  conversionRevision: undefined,
  configVersion: version,
  at: notice.at.getTime(),
})
