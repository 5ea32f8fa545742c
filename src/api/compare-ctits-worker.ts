/** The thread of compare-ctits.ts. */
import { parentPort, workerData } from 'node:worker_threads'

import { compareAffiliates } from '#fraud'

parentPort?.postMessage(compareAffiliates(workerData as ReadonlyMap<string, readonly number[]>))
