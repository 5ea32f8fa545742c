/** One comparison of two numbers that must be equal. */
export type Check = {
  readonly check: string
  /** The two sides in words: what is expected and where the other number was found. */
  readonly what: string
  /** Decimal integers; money in micros. */
  readonly expected: string
  readonly found: string
  readonly isBalanced: boolean
  /** Ids of some that differ, where they can be named. */
  readonly examples: readonly string[]
}

export const EXAMPLES_MAX = 5

/** A comparison of two integers. @param examples left out where the numbers agree */
export function compare(
  check: string,
  what: string,
  expected: bigint | number | string,
  found: bigint | number | string,
  examples: readonly string[] = [],
): Check {
  const isBalanced = BigInt(expected) === BigInt(found)
  return {
    check,
    what,
    expected: String(expected),
    found: String(found),
    isBalanced,
    examples: isBalanced ? [] : examples.slice(0, EXAMPLES_MAX),
  }
}
