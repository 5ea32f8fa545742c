/** What the command line says of a replay, whichever command asked for it. */
import type { ReplayCount } from '#postbacks'

/** What would be sent. */
export function describeCount({ replayed, skipped, isCut }: ReplayCount): string {
  const number = `${isCut ? 'at least ' : ''}${replayed}`
  return `Would be sent once more: ${number}${describeSkipped(skipped)}.\nDry run: nothing was sent; --yes does it.`
}

/** What was or would be left out, to follow a number. */
export const describeSkipped = (skipped: ReplayCount['skipped']): string =>
  Object.entries(skipped)
    .map(([reason, count]) => `, ${count} left out: ${reason}`)
    .join('')

/** That it has begun, and how to look at it and end it. */
export const describeRunning = (replayId: string): string =>
  `Replay ${replayId} runs. How far it is: waypost replay list. To end it: waypost replay cancel ${replayId}`
