import { Worker } from 'node:worker_threads'

import { problem } from './issues.ts'
import type { ConfigurationState } from './objects.ts'
import { planConfiguration, type Plan } from './plan.ts'
import { readFile } from './read-file.ts'

/** A file of ten thousand flows takes a second to parse: in the main process nothing would be delivered meanwhile. */
const BESIDE_FROM_LENGTH = 100_000
const TIMEOUT_MS = 30_000

/** Plans a configuration without holding up the process: a large file is read in a thread of its own.
 * @returns a plan with one issue where the file takes longer than 30 seconds
 */
export async function planBeside(yamlText: string, current: ConfigurationState): Promise<Plan> {
  if (yamlText.length < BESIDE_FROM_LENGTH) return planConfiguration(readFile(yamlText), current)
  const worker = new Worker(new URL('./plan-worker.ts', import.meta.url), { workerData: { yamlText, current } })
  const plan = Promise.withResolvers<Plan>()
  worker.once('message', plan.resolve)
  worker.once('error', plan.reject)
  const timer = setTimeout(() => plan.resolve(tooSlow(current)), TIMEOUT_MS)
  try {
    return await plan.promise
  } finally {
    clearTimeout(timer)
    await worker.terminate()
  }
}

const tooSlow = (current: ConfigurationState): Plan => ({
  wanted: current,
  removed: [],
  issues: [{ line: 1, column: 1, path: '', ...problem('file_too_large', 'Reading the file takes longer than 30 s.') }],
})
