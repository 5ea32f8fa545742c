/** The durable event log: partitions of records with dense offsets. The port knows nothing of files, clicks or events.
 *
 * One partition has one writer at a time. A consumer reads batches in order and keeps its own position, normally in the
 * transaction of what it made of the batch; the position told to the log only guards retention.
 */
export type Partition = string

/** One record as read. `offset` counts from 0 per partition without gaps, except where damage was reported. */
export type LogRecord = {
  readonly offset: number
  /** When the record was appended: milliseconds since the epoch, never decreasing within a partition. */
  readonly appendedAt: number
  readonly payload: Buffer
}

/** Bytes that cannot be read back, with the offsets lost; readers go on after them. */
export type DamagedRange = {
  readonly partition: Partition
  readonly firstOffset: number
  /** First offset that could be read again. */
  readonly nextOffset: number
  /** Where, for a person: a file and byte position, a topic and offset. */
  readonly where: string
}

/** Records [firstOffset, nextOffset) of one partition. A range once read gives the same records at every later read. */
export type LogBatch = {
  readonly partition: Partition
  readonly firstOffset: number
  readonly nextOffset: number
  readonly records: readonly LogRecord[]
  readonly damaged: readonly DamagedRange[]
}

export type ReadLimits = { readonly maxRecords: number; readonly maxBytes: number }

/** Appends to one partition, the only one to do so. Made by `openWriter` and `openFreeWriter` of the log. */
export type LogWriter = {
  readonly partition: Partition
  /** Takes the payload now and resolves with its offset once it is durable (flushed to the disk or acknowledged by the
   * broker). The payload is copied or written before the promise settles; the caller must not change it until then.
   * @throws {WaypostError} log_full, log_unavailable: the record is not in the log and never will be
   * @throws {RangeError} payload empty or over the record limit (programmer error)
   */
  readonly append: (payload: Buffer) => Promise<number>
  /** Appends accepted and not yet durable. */
  readonly pendingCount: () => number
  /** Waits for what is pending, then gives the partition free. */
  readonly close: () => Promise<void>
}

export type EventLog = {
  /** Takes over a partition for writing, cutting off a torn tail.
   * @throws {WaypostError} log_in_use when another live process holds it
   */
  readonly openWriter: (partition: Partition) => Promise<LogWriter>
  /** Takes over the first of `<group>-0`, `<group>-1`, … that no live process writes, also one that was left by another. Any number
   * of callers may ask at once: each gets one of its own.
   * @throws {WaypostError} log_in_use when 1,024 of them are written to
   */
  readonly openFreeWriter: (group: string) => Promise<LogWriter>
  /** All partitions that exist, sorted. */
  readonly partitions: () => Promise<readonly Partition[]>
  /** The oldest offset kept and the offset that the next append will get, counting durable records only. */
  readonly bounds: (partition: Partition) => Promise<{ readonly firstOffset: number; readonly nextOffset: number }>
  /** The records from `fromOffset` on, as many as the limits allow, at least one when there is one; records that are not
   * durable are not given out. Empty `records` and an unchanged `nextOffset` mean: nothing there yet.
   * Where `fromOffset` is older than the oldest kept, the batch starts at the oldest and the gap is in `damaged`.
   */
  readonly read: (partition: Partition, fromOffset: number, limits: ReadLimits) => Promise<LogBatch>
  /** The same range as an earlier batch: exactly the records [firstOffset, nextOffset). */
  readonly readRange: (partition: Partition, firstOffset: number, nextOffset: number) => Promise<LogBatch>
  /** Resolves when there may be something new, or after `timeoutMs`. */
  readonly waitForAppend: (timeoutMs: number) => Promise<void>
  /** Tells that a consumer needs nothing below `position` any more. Only retention uses it. */
  readonly commitPosition: (consumer: string, partition: Partition, position: number) => Promise<void>
  /** Drops what is older or larger than the policy and what every known consumer has passed.
   * @returns bytes freed
   */
  readonly enforceRetention: (policy: RetentionPolicy, nowMs: number) => Promise<number>
  readonly close: () => Promise<void>
}

export type RetentionPolicy = {
  /** Kept at least this long, whatever the size. */
  readonly minAgeMs: number
  /** Dropped once older. */
  readonly maxAgeMs: number
  /** Dropped, oldest first, once the log of all partitions is larger. */
  readonly maxBytes: number
}
