/** A further thread of the edge, started by edge-threads.ts. */
import { parentPort, workerData } from 'node:worker_threads'

import type { SignatureMemory } from '#edge'
import { createLogLines } from '#platform/log-lines'
import { relayedSnapshots } from '#snapshots'

import { openEdgeThread } from './edge-thread.ts'
import type { FromThread, ThreadStart, ToThread } from './edge-threads.ts'

const start = workerData as ThreadStart
const first = parentPort!
const tell = (message: FromThread): void => first.postMessage(message)

const questions = new Map<number, (isNew: boolean) => void>()
let questionCount = 0
const signatures: SignatureMemory = {
  remember(digest, nowMs) {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const question = questionCount++
    questions.set(question, resolve)
    tell({ kind: 'remember', question, digest, nowMs })
    return promise
  },
  forget: (digest) => tell({ kind: 'forget', digest }),
}

const snapshots = relayedSnapshots(start.snapshot)
const stopAsked = Promise.withResolvers<void>()
first.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'snapshot':
      return snapshots.take(message.snapshot)
    case 'freshness':
      return snapshots.setFresh(message.isFresh)
    case 'remembered':
      questions.get(message.question)?.(message.isNew)
      questions.delete(message.question)
      return
    case 'stop':
      return stopAsked.resolve()
    default:
      return message satisfies never
  }
})

const edge = await openEdgeThread({
  ...start,
  snapshots,
  signatures,
  logLines: createLogLines('edge', start.config.logLevel),
})
tell({ kind: 'listening' })
await stopAsked.promise
await edge.stop()
tell({ kind: 'stopped' })
first.close()
