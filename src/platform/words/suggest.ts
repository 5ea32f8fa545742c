/** Number of letters to add, drop, change or swap with the next to turn one word into the other, at most `limit` + 1. */
function editDistance(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) > limit) return limit + 1
  let beforePrevious: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1]
      const isSwap = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      const best = Math.min(previous[column]! + 1, current[column - 1]! + 1, previous[column - 1]! + (isSame ? 0 : 1))
      current.push(isSwap ? Math.min(best, beforePrevious[column - 2]! + 1) : best)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[to.length]!
}

/** Words compared at most: a suggestion among ten thousand ids must not cost more than the rest of the check. */
const CANDIDATES_MAX = 2_000

/** The word that somebody probably meant: the nearest one within a third of its length, two letters at least.
 * @example suggestWord('landigns', ['landings', 'links']) // 'landings'
 */
export function suggestWord(word: string, candidates: Iterable<string>): string | undefined {
  const limit = Math.max(2, Math.floor(word.length / 3))
  let best: { candidate: string; distance: number } | undefined
  let compared = 0
  for (const candidate of candidates) {
    if (++compared > CANDIDATES_MAX) break
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), limit)
    if (distance <= limit && distance < candidate.length && (best === undefined || distance < best.distance))
      best = { candidate, distance }
  }
  return best?.candidate
}

/** A hint that names the word probably meant, else the words that are possible where there are few.
 * @example didYouMean('actve', ['active', 'paused']) // 'Did you mean "active"?'
 */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  const suggestion = suggestWord(word, candidates)
  if (suggestion !== undefined) return `Did you mean "${suggestion}"?`
  return candidates.length > 0 && candidates.length <= 20 ? `Possible here: ${candidates.join(', ')}.` : undefined
}
