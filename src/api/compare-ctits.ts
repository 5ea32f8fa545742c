import { Worker } from 'node:worker_threads'

import type { CtitComparison } from '#fraud'
import { WaypostError } from '#platform/errors'

const TIMEOUT_MS = 30_000

/** Compares the affiliates of an offer in a thread of its own: for a hundred large ones it takes seconds, in which nothing would be
 * delivered.
 * @param ctits seconds from click to conversion, by affiliate
 * @throws {WaypostError} query_too_expensive: it takes longer than 30 seconds
 */
export async function compareCtits(
  ctits: ReadonlyMap<string, readonly number[]>,
): Promise<ReadonlyMap<string, CtitComparison>> {
  const worker = new Worker(new URL('./compare-ctits-worker.ts', import.meta.url), { workerData: ctits })
  const comparison = Promise.withResolvers<ReadonlyMap<string, CtitComparison>>()
  worker.once('message', comparison.resolve)
  worker.once('error', comparison.reject)
  const timer = setTimeout(() => comparison.reject(new WaypostError('query_too_expensive')), TIMEOUT_MS)
  try {
    return await comparison.promise
  } finally {
    clearTimeout(timer)
    await worker.terminate()
  }
}
