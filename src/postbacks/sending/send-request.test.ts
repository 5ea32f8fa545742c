import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { startReceiver } from '../test-receiver.ts'
import { createSender, type Exchange } from './send-request.ts'
import { Target } from './target.ts'

test('each deadline is kept, also after the timer that all share had nothing to do', { timeout: 10_000 }, async (t) => {
  const receiver = await startReceiver(t, () => undefined)
  const sender = createSender({ resolveHost: () => Promise.resolve(['127.0.0.1']) })
  t.after(() => sender.close())
  t.mock.timers.enable({ apis: ['setInterval'] })
  const step = async (): Promise<void> => {
    t.mock.timers.tick(20)
    await nextTurn()
  }
  const send = (timeoutMs: number): Promise<Exchange> =>
    sender.send({
      ...{ target: new Target(receiver.url), method: 'GET', headers: {}, body: undefined },
      ...{ timeoutMs, allowsPrivate: true },
    })
  for (const round of [1, 2]) {
    const ended: string[] = []
    const note = (name: string) => (exchange: Exchange) => void ended.push(`${name} ${exchange.error}`)
    const late = send(60_000).then(note('late'))
    const soon = send(30).then(note('soon'))
    while (ended.length === 0) await step()
    assert.deepEqual(ended, ['soon timeout'], `round ${round}`)
    sender.interrupt()
    await Promise.all([late, soon])
    assert.deepEqual(ended, ['soon timeout', 'late interrupted'])
    await step()
  }
})
