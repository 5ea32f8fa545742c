/** A thread of the delivery, started by delivery-threads.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '#platform/clock'
import { createLogLines } from '#platform/log-lines'
import { createPool } from '#platform/postgres'
import { givenSecretKeys, keptSecretKeys, useSecretKeys } from '#secrets'
import { createDeliveryCounters } from '../metrics/delivery-metrics.ts'
import { watchTries } from '../metrics/watch-tries.ts'
import { workerSettings } from '../queue/queue.ts'
import { CONCURRENCY_MAX, startDelivery } from '../worker/start-delivery.ts'
import type { FromThread, ThreadStart, ToThread } from './delivery-threads.ts'

/** Two listen, one reads, two write; the others are for what is done now and then. */
const CONNECTIONS_MAX = 7

const { databaseUrl, secretKeys, threads, perHostMax, proxy, isLeaseFenced, logLevel, seriesMax, ...start } =
  workerData as ThreadStart
const first = parentPort!
const tell = (message: FromThread): void => first.postMessage(message)

useSecretKeys('file' in secretKeys ? keptSecretKeys(secretKeys.file) : givenSecretKeys(secretKeys.keys))
let { configured } = start
const begun = Promise.withResolvers<void>()
const logLines = createLogLines('delivery', logLevel)
const pool = createPool(databaseUrl, {
  max: CONNECTIONS_MAX,
  applicationName: 'waypost delivery',
  settings: workerSettings,
})
const tries = watchTries({ pool, logLines, seriesMax })

const delivery = startDelivery({
  ...{ pool, logLines, isLeaseFenced },
  clock: systemClock,
  snapshots: { current: () => configured },
  proxy: proxy === undefined ? undefined : new URL(proxy),
  concurrencyMax: Math.ceil(CONCURRENCY_MAX / threads),
  perHostMax: Math.ceil(perHostMax / threads),
  afterEntering: () => {
    tell({ kind: 'entered' })
    return begun.promise
  },
  onRecorded: (completions, lateCount) => {
    tries.onRecorded(completions)
    const counters = createDeliveryCounters()
    counters.count(completions, lateCount)
    tell({ kind: 'recorded', counts: counters.attempts() })
  },
})

first.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'configured':
      configured = message.configured
      return delivery.reconfigure()
    case 'begin':
      return begun.resolve()
    case 'read_figures':
      return tell({
        kind: 'figures',
        question: message.question,
        figures: { series: tries.series(), workload: delivery.workload() },
      })
    case 'stop':
      return void stop()
    default:
      return message satisfies never
  }
})

async function stop(): Promise<void> {
  begun.resolve()
  await delivery.stop()
  await tries.stop()
  await pool.end()
  tell({ kind: 'stopped' })
}
