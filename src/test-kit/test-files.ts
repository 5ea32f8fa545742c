import { globSync } from 'node:fs'

/** Those that need a browser say so and skip themselves where there is none. */
const PATTERNS = [
  'src/**/*.test.ts',
  'sdk/**/*.test.ts',
  'bench/**/*.test.ts',
  'scripts/**/*.test.ts',
  'test/**/*.test.ts',
]

/** Every test file of the repository, from its root, in order. */
export const listTestFiles = (): readonly string[] => globSync(PATTERNS).sort()
