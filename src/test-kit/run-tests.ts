/** Runs every test: starts one PostgreSQL and migrates facts for all of them, tells the test processes where both are, removes them at the end.
 * Arguments that are no options name test files or patterns; the rest goes to node:test.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'

import { childEnvironment } from '#config'

import { removeDir } from './directories.ts'
import { makeFactsTemplate } from './facts-template.ts'
import { listTestFiles } from './test-files.ts'
import { startTestPostgres } from './test-postgres.ts'

/** A test that hangs fails. Generous: the machine may be busy. */
const TEST_MS_MAX = 180_000

const given = process.argv.slice(2)
const options = given.filter((argument) => argument.startsWith('-'))
const patterns = given.filter((argument) => !argument.startsWith('-'))
const files = patterns.length > 0 ? patterns : listTestFiles()
const settings = [
  `--test-concurrency=${Math.min(availableParallelism(), 8)}`,
  `--test-timeout=${TEST_MS_MAX}`,
  `--import=${new URL('./fail-on-open-handles.ts', import.meta.url).href}`,
]

const postgres = await startTestPostgres()
const facts = await makeFactsTemplate()
const tests = spawn(process.execPath, ['--test', ...settings, ...options, ...files], {
  stdio: 'inherit',
  env: childEnvironment({ WAYPOST_TEST_POSTGRES_URL: postgres.url, WAYPOST_TEST_FACTS_TEMPLATE: facts }),
})
// Ctrl-C reaches the tests by itself; whoever ends us alone means them too.
process.on('SIGTERM', () => void tests.kill('SIGTERM'))
process.on('SIGINT', () => undefined)
const [code] = (await once(tests, 'exit')) as [number | null]
await postgres.stop()
removeDir(facts)
process.exitCode = code ?? 1
