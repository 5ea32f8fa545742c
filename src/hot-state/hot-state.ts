import type { ClickId } from '#platform/ids'

/** Where a record stands in the log; decides which of two equal records came first, also when a batch is replayed. */
export type Origin = { readonly partition: string; readonly offset: number }

/** Answer to a claim: `first` for the record that holds the key (also when it asks again), else who holds it. */
export type Claim = { readonly kind: 'first' } | { readonly kind: 'taken'; readonly by: Origin; readonly at: number }

/** One claim of a key for a record. */
export type ClaimRequest = {
  /** Up to 16 bytes: a hash of the identity. */
  readonly key: Buffer
  readonly origin: Origin
  /** When the record happened, milliseconds since the epoch. */
  readonly at: number
  /** The claim lapses this long after `at`; Infinity where it never does within the retention of the state. */
  readonly ttlMs: number
}

export type ClaimSpace = 'event_identity' | 'visitor_campaign' | 'visitor_offer' | 'visitor_global' | 'signature'

/** State that is rebuilt from the log when lost, looked up while requests and batches run.
 *
 * The click index maps a click id to the payload of its log record. Claims say which record was the first with a key:
 * a claim is idempotent for the same origin, so a batch that is replayed after a crash gets the same answers again.
 */
export type HotState = {
  /** The payload of the click's record; undefined when unknown or past the retention. Safe from several processes. */
  readonly getClick: (clickId: ClickId) => Buffer | undefined
  /** Adds clicks (the first payload of an id wins) and moves the position of the index, in one durable step. */
  readonly indexClicks: (
    clicks: readonly { readonly clickId: ClickId; readonly payload: Buffer }[],
    position: { readonly partition: string; readonly nextOffset: number; readonly appendedAt: number },
  ) => Promise<void>
  /** Offset up to which the index has read a partition, and the append time of the last record read. */
  readonly indexPosition: (
    partition: string,
  ) => { readonly nextOffset: number; readonly appendedAt: number } | undefined
  /** Claims the keys in order, in one durable step; one answer for each request. */
  readonly claim: (space: ClaimSpace, requests: readonly ClaimRequest[]) => Promise<readonly Claim[]>
  /** Whether a claim of the key holds at that time; false where the state does not exist yet. Safe from several processes. */
  readonly isClaimed: (space: ClaimSpace, key: Buffer, at: number) => boolean
  /** Forgets clicks and claims older than the given times. @returns entries dropped */
  readonly forgetBefore: (limits: {
    readonly clicksBeforeMs: number
    readonly claimsBeforeMs: number
  }) => Promise<number>
  readonly close: () => Promise<void>
}
