/** A second signal that comes this soon is the same request: npm passes on the Ctrl-C that the terminal also sent to us. */
const SAME_REQUEST_MS = 1_000

/** Calls `stop` once when the process is asked to end: by SIGINT, SIGTERM or SIGHUP, or because the process that started it
 * and holds its channel is gone. A second, later signal calls `force`.
 */
export function onStopRequest(stop: () => void, force: () => void): void {
  let firstAt: number | undefined
  const ask = (): void => {
    if (firstAt === undefined) {
      firstAt = performance.now()
      stop()
    } else if (performance.now() - firstAt > SAME_REQUEST_MS) force()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask)
  process.on('disconnect', ask)
  // Listening to the channel must not keep a finished process alive.
  process.channel?.unref()
}
