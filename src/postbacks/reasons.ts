/** Why something was not sent although an endpoint's scope and trigger fit. docs/states/delivery.md lists the same. */
export const whyNotReasons = {
  endpoint_paused: 'The endpoint is paused.',
  rule_not_met: 'The rule of the endpoint does not take this one.',
  narrower_endpoint: 'The endpoint yields, and the one named here, of a narrower scope, takes it.',
  template_invalid: 'A template of the endpoint has a mistake; apply a corrected configuration.',
  macro_empty: 'A macro that the template requires ({name!}) has no value for this conversion.',
  url_invalid: 'The filled URL is no http(s) URL that may be requested.',
  header_invalid: 'A header would have a line break, a control character or a letter beyond Latin-1.',
  request_too_large: 'The filled URL, its headers or the body are longer than the limit.',
} as const
export type WhyNotReason = keyof typeof whyNotReasons

/** Why a delivery ended without success. */
export const giveUpReasons = {
  attempts_exhausted: 'The last attempt of the schedule failed.',
  expired: 'It could not be delivered within `expires_hours` of the endpoint.',
  refused_by_receiver:
    'The receiver answered with a 3xx or 4xx that says the request is wrong; the short schedule is used up.',
  destination_refused:
    'The address may not be requested (private, reserved or malformed); the short schedule is used up.',
  request_invalid:
    'The request cannot be sent as it was filled, such as a header with a line break; the short schedule is used up.',
  gone: 'The receiver answered 410: it wants no more of these.',
  aborted_by_receiver: 'The receiver answered `webhook-delivery: abort-message`: it wants this message not again.',
  answer_final: 'The endpoint says that this answer is final (`final_statuses`, `success.otherwise: give_up`).',
  endpoint_removed: 'The endpoint is no longer in the configuration.',
  outcome_unknown:
    'It may arrive once at most, and whether it did is not known: nobody answered, or the process died meanwhile.',
  crash_loop: 'The process died during this delivery again and again.',
} as const
export type GiveUpReason = keyof typeof giveUpReasons

/** What went wrong in an attempt without a good answer; `error` of an attempt. */
export const attemptErrors = {
  timeout: 'The deadline of the endpoint passed before a complete answer.',
  dns_error: 'The host name could not be resolved.',
  connection_refused: 'Nobody listens at the address.',
  connection_reset: 'The connection broke.',
  network_unreachable: 'There is no way to the address.',
  tls_error: 'TLS failed: certificate, name or protocol.',
  protocol_error: 'The answer is no valid HTTP.',
  network_error: 'Another error of the network.',
  redirect: 'The receiver answered with a redirect; redirects are not followed.',
  http_error: 'The receiver answered with an error status.',
  answer_not_accepted: 'The status was good, but the answer is none that `success` of the endpoint accepts.',
  destination_refused: 'The address may not be requested.',
  request_invalid: 'The request cannot be made, or holds what HTTP forbids; nothing was sent.',
  proxy_error: 'Our own proxy failed. It uses up no attempt and says nothing about the receiver.',
  body_too_large: 'The answer was longer than 64 KiB and was cut off; its status counts.',
  body_broken: 'The answer broke off or did not end in time after its status; the status counts.',
  interrupted: 'We stopped while waiting for the answer.',
} as const
export type AttemptError = keyof typeof attemptErrors

/** Why deliveries wait although they are due. */
export const waitReasons = {
  endpoint_paused: 'The endpoint is paused in the configuration.',
  paused_endpoint: 'The endpoint is paused by hand.',
  paused_affiliate: 'The affiliate that it is about, or that its endpoint is for, is paused by hand.',
  paused_advertiser: 'The advertiser that it is about, or that its endpoint is for, is paused by hand.',
  endpoint_failing:
    'The endpoint failed for five days and is disabled; from time to time one delivery asks whether it is back.',
  endpoint_gone: 'The receiver answered 410 and the endpoint is disabled until somebody enables it.',
  earlier_message: 'An earlier message of its click to this endpoint has not ended (`ordered`).',
  quota_used: 'The quota of the endpoint is used up until its next period.',
  receiver_down: 'The receiver failed again and again; one delivery will ask whether it is back.',
} as const
export type WaitReason = keyof typeof waitReasons

/** What operators are told of an endpoint. */
export const noticeKinds = {
  endpoint_failing: 'Nothing was delivered for 24 or 72 hours; after five days the endpoint is disabled.',
  endpoint_disabled:
    'Nothing was delivered for five days, or the receiver answered 410: deliveries wait until they expire.',
  endpoint_recovered: 'A disabled endpoint answered again and is in service; what it missed can be replayed.',
  quota_used: 'The quota of the endpoint is used up; what is due waits until its next period.',
  report_ready: 'A scheduled report was made; `path` is where its file is, on the API, until `expires_at`.',
  schedule_stopped: 'A scheduled report failed five times in a row and does not run until it is resumed.',
} as const
export type NoticeKind = keyof typeof noticeKinds
