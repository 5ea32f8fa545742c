import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '#platform/random'
import { RunQueue } from './run-queue.ts'

type Item = { readonly name: string; readonly host: string }

const itemsOn = (host: string, count: number): readonly Item[] =>
  Array.from({ length: count }, (_, index) => ({ name: `${host}${index}`, host }))

/** A queue with hosts that have room for so many. */
function openQueue(perHostMax: number) {
  const running = new Map<string, number>()
  const runningOn = (host: string): number => running.get(host) ?? 0
  const queue = new RunQueue<Item>((host) => perHostMax - runningOn(host))
  return {
    queue,
    runningOn,
    add: (items: readonly Item[]) => items.forEach((item) => queue.add(item, item.host)),
    /** Starts as many as it can, at most so many. */
    start: (most: number): readonly string[] => {
      const chosen: Item[] = []
      queue.begin()
      for (let item = queue.first(); item !== undefined && chosen.length < most; item = queue.first()) {
        queue.choose(item)
        chosen.push(item)
      }
      for (const { host } of chosen) running.set(host, runningOn(host) + 1)
      return chosen.map(({ name }) => name)
    },
    end: (host: string) => {
      running.set(host, runningOn(host) - 1)
      queue.freed(host)
    },
  }
}

test('everyone once, in the order of coming', () => {
  const { add, start } = openQueue(100)
  add([...itemsOn('a', 2), ...itemsOn('b', 1)])
  assert.deepEqual(start(2), ['a0', 'a1'])
  assert.deepEqual(start(2), ['b0', 'a0'])
})

test('a host without room lets the others by, and its own go on in their order when it has some again', () => {
  const { add, start, end } = openQueue(2)
  add([...itemsOn('a', 4), ...itemsOn('b', 1)])
  assert.deepEqual(start(10), ['a0', 'a1', 'b0', 'b0'])
  assert.deepEqual(start(10), [])
  end('a')
  assert.deepEqual(start(10), ['a2'])
  end('a')
  end('a')
  assert.deepEqual(start(10), ['a3', 'a0'])
})

test('who was chosen and could not begin leaves its place to others on its host', () => {
  const { queue, add, start, end } = openQueue(1)
  const [a0, a1] = itemsOn('a', 2)
  add([a0!, a1!])
  assert.deepEqual(start(1), ['a0'])
  end('a')
  queue.begin()
  assert.equal(queue.first(), a1)
  queue.choose(a1!)
  queue.delete(a1!)
  assert.deepEqual(start(1), ['a0'])
})

test('whatever comes, goes, begins and ends: no host has more than its room, and none with room is passed over', () => {
  const seed = Math.floor(Math.random() * 1_000_000)
  console.log(`seed ${seed}`)
  const next = createRandom(seed)
  const random = (below: number): number => Math.floor(next() * below)
  const perHostMax = 3
  const hosts = Array.from({ length: 8 }, (_, index) => `host${index}`)
  const items = hosts.flatMap((host, index) => itemsOn(`${host}-`, 1 + index * 3).map((item) => ({ ...item, host })))
  const waiting = new Set<Item>()
  const { queue, runningOn, start, end } = openQueue(perHostMax)
  /** How often others on its host were started since an item came or was started last. */
  const passed = new Map<string, number>()
  for (let step = 0; step < 50_000; step += 1) {
    const item = items[random(items.length)]!
    const what = random(10)
    if (what < 3) {
      queue.add(item, item.host)
      if (!waiting.has(item)) passed.set(item.name, 0)
      waiting.add(item)
    } else if (what < 4) {
      queue.delete(item)
      waiting.delete(item)
    } else if (what < 7) {
      if (runningOn(item.host) > 0) end(item.host)
    } else {
      const most = 1 + random(5)
      const started = start(most)
      for (const name of started) {
        const { host } = items.find((one) => one.name === name)!
        for (const other of waiting) if (other.host === host) passed.set(other.name, passed.get(other.name)! + 1)
        passed.set(name, 0)
      }
      const isRoomLeft = [...waiting].some(({ host }) => runningOn(host) < perHostMax)
      assert.ok(started.length === most || !isRoomLeft, `step ${step}: ${started.length} of ${most} began`)
    }
    for (const host of hosts) assert.ok(runningOn(host) <= perHostMax, `step ${step}: ${host}`)
    for (const { name, host } of waiting) {
      const siblings = items.filter((one) => one.host === host).length
      assert.ok(passed.get(name)! <= 2 * siblings + perHostMax, `step ${step}: ${name} was passed by too often`)
    }
  }
})
