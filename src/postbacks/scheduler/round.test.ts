import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom } from '#platform/random'
import { Round } from './round.ts'

type Item = { readonly name: number }

test('whatever is added and taken out, it goes as with a Set', () => {
  const seed = Math.floor(Math.random() * 1_000_000)
  console.log(`seed ${seed}`)
  const next = createRandom(seed)
  const random = (below: number): number => Math.floor(next() * below)
  const items: readonly Item[] = Array.from({ length: 700 }, (_, name) => ({ name }))
  const round = new Round<Item>()
  const set = new Set<Item>()
  for (let step = 0; step < 200_000; step += 1) {
    const item = items[random(items.length)]!
    const [first] = set
    const what = random(10)
    if (what < 3) for (const one of [round, set]) one.add(item)
    else if (what < 4) for (const one of [round, set]) one.delete(item)
    else if (first !== undefined) {
      for (const one of [round, set]) one.delete(first)
      if (what < 9) for (const one of [round, set]) one.add(first)
    }
    const [expected] = set
    assert.equal(round.first(), expected)
    assert.equal(round.size, set.size)
  }
})
