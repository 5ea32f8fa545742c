/** The numbers of a version, as many as it begins with: `16.4.1` → [16, 4, 1], `10.0-beta` → [10, 0].
 * @returns undefined where it does not begin with a number (`XP`, `Vista`): such a version has no order
 */
export function parseVersion(text: string): readonly number[] | undefined {
  const found = /^\d{1,9}(?:\.\d{1,9}){0,7}/.exec(text)
  return found === null ? undefined : found[0].split('.').map(Number)
}

/** Compares a version with a bound, by the numbers that the bound names: 120.0.6099 equals the bound 120, and 16 equals the
 * bound 16.0. So `between 100 and 120` takes every 120.x, and `is 16` every 16.x.
 * @returns below 0, 0 or above 0 as the version is lower, the same or higher
 */
export function compareVersion(version: readonly number[], bound: readonly number[]): number {
  for (let index = 0; index < bound.length; index += 1) {
    const difference = (version[index] ?? 0) - bound[index]!
    if (difference !== 0) return difference
  }
  return 0
}
