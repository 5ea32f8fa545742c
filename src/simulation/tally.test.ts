import assert from 'node:assert/strict'
import { test } from 'node:test'

import { simulationLimits } from './limits.ts'
import { listsOf } from './simulate.ts'
import { countDecided, newTally } from './tally.ts'

const to = (offer_id: string) => ({ outcome: 'redirected', offer_id }) as const

test('counts where clicks went, would go, and what moves', () => {
  const tally = newTally()
  countDecided(tally, '1', 'DE', { kind: 'decided', before: to('a'), after: to('b') })
  countDecided(tally, '2', 'DE', { kind: 'decided', before: to('a'), after: to('a') })
  countDecided(tally, '3', 'DE', { kind: 'not_reproduced', before: to('a') })
  assert.deepEqual([tally.clicks, tally.moved, tally.notReproduced, tally.notReproducedExamples], [2, 1, 1, ['3']])
  assert.deepEqual([...tally.movements.values()], [{ from: to('a'), to: to('b'), clicks: 1 }])
  assert.deepEqual(
    [...tally.cells.values()],
    [
      { offer_id: 'a', country: 'DE', before: 2, after: 1 },
      { offer_id: 'b', country: 'DE', before: 0, after: 1 },
    ],
  )
})

test('does not grow past its limits: what is too many is counted together', () => {
  const tally = newTally()
  const more = 100
  for (let index = 0; index < simulationLimits.kindsMax + more; index += 1)
    countDecided(tally, String(index), `C${index}`, { kind: 'decided', before: to('a'), after: to(`b${index}`) })
  assert.deepEqual(
    [tally.movements.size, tally.movedOtherwise, tally.moved],
    [simulationLimits.kindsMax, more, simulationLimits.kindsMax + more],
  )
  assert.equal(tally.after.size, simulationLimits.kindsMax)
  const { movements, not_shown } = listsOf(tally)
  assert.equal(movements.length, simulationLimits.rowsMax)
  assert.equal(not_shown.movements, simulationLimits.kindsMax + more - simulationLimits.rowsMax)
  const clicksBefore = [...tally.cells.values()].reduce((sum, { before }) => sum + before, 0)
  assert.equal(clicksBefore, simulationLimits.kindsMax + more)
})

test('names ten clicks at most that are not reproduced, and counts all', () => {
  const tally = newTally()
  for (let index = 0; index < 100; index += 1)
    countDecided(tally, String(index), 'DE', { kind: 'not_reproduced', before: to('a') })
  assert.deepEqual([tally.notReproduced, tally.notReproducedExamples.length], [100, simulationLimits.examplesMax])
})
