import { WaypostError, type ErrorCode } from '#platform/errors'
import type { LogLines } from '#platform/log-lines'
import type { LogWriter } from '#log'
import { encodeRecord, type LoggedRecord } from '#records'

/** The edge's way into the log. */
export type Recorder = {
  /** Resolves once the record is durable. @throws {WaypostError} log_full, log_unavailable */
  readonly record: (record: LoggedRecord) => Promise<number>
  readonly pendingCount: () => number
  /** False for five seconds after a failed append, unless one has succeeded since. */
  readonly isWritable: () => boolean
  /** Notes that a record is durable. */
  readonly noteSuccess: () => void
  /** Notes that a request could not be recorded. @returns the code to answer with */
  readonly noteFailure: (error: unknown) => ErrorCode
}

const DISTRUST_MS = 5_000

/** The failure is remembered for a while only: a load balancer that stops sending would otherwise never learn that the
 * disk has space again.
 */
export function createRecorder(writer: LogWriter, logLines: LogLines): Recorder {
  let failedAtMs = Number.NEGATIVE_INFINITY
  const isWritable = (): boolean => performance.now() - failedAtMs > DISTRUST_MS
  return {
    record: (record) => writer.append(encodeRecord(record)),
    pendingCount: () => writer.pendingCount(),
    isWritable,
    noteSuccess() {
      failedAtMs = Number.NEGATIVE_INFINITY
    },
    noteFailure(error) {
      if (!(error instanceof WaypostError)) {
        logLines.error({ err: error }, 'A request failed.')
        return 'internal'
      }
      const { code } = error
      // Once for the outage, not once for each of the thousands of requests in it.
      if (isWritable()) logLines.error({ err: error, code }, 'The event log does not take records.')
      failedAtMs = performance.now()
      return code
    },
  }
}
