/** Numbers that look random and come again with the same seed: for simulations, for tests, and for draws that must be repeatable.
 * Not for secrets.
 */
export type Random = () => number

/** Numbers in [0, 1) (mulberry32, 32 bits each).
 * @param seed integer
 */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Standard normal (Box–Muller, one of the pair). */
export const drawNormal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** Gamma with scale 1, mean `shape`.
 * @param shape > 0
 * @see Marsaglia and Tsang, "A simple method for generating gamma variables", 2000
 */
export function drawGamma(random: Random, shape: number): number {
  if (shape < 1) return drawGamma(random, shape + 1) * Math.pow(1 - random(), 1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  // The first try is taken in more than 95 of 100 cases.
  for (;;) {
    const x = drawNormal(random)
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
  }
}

/** Beta with mean α / (α + β).
 * @param alpha > 0
 * @param beta > 0
 */
export function drawBeta(random: Random, alpha: number, beta: number): number {
  const left = drawGamma(random, alpha)
  const right = drawGamma(random, beta)
  // Both are 0 only where both parameters are so small that nearly all of the distribution is at 0 and at 1.
  return left + right === 0 ? alpha / (alpha + beta) : left / (left + right)
}
