/** The thread of plan-beside.ts: reads the file, answers with the plan. */
import { parentPort, workerData } from 'node:worker_threads'

import type { ConfigurationState } from './objects.ts'
import { planConfiguration } from './plan.ts'
import { readFile } from './read-file.ts'

const { yamlText, current } = workerData as { readonly yamlText: string; readonly current: ConfigurationState }
parentPort?.postMessage(planConfiguration(readFile(yamlText), current))
