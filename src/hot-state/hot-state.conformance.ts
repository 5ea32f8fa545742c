import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { newClickId, parseClickId, type ClickId } from '#platform/ids'
import type { ClaimRequest, HotState } from './hot-state.ts'

/** What a suite needs of an adapter: a place of its own for each test, opened as often as wanted. */
export type HotStateAdapter = {
  readonly name: string
  readonly makePlace: (t: TestContext) => { readonly open: () => HotState }
}

const NOW = 1_700_000_000_000
const positionAt = (nextOffset: number, appendedAt = NOW) => ({ partition: 'edge-0', nextOffset, appendedAt })
const click = (clickId: ClickId, text: string) => ({ clickId, payload: Buffer.from(text) })
const request = (key: string, offset: number, at = NOW, ttlMs = 1_000): ClaimRequest => ({
  key: Buffer.from(key),
  origin: { partition: 'edge-0', offset },
  at,
  ttlMs,
})
const FIRST = { kind: 'first' }
const takenBy = (offset: number, at = NOW) => ({ kind: 'taken', by: { partition: 'edge-0', offset }, at })

/** The promises of the port, as tests; every adapter runs all of them. */
export function testHotState(adapter: HotStateAdapter): void {
  const it = (sentence: string, body: (state: HotState, open: () => HotState) => Promise<void>): void => {
    test(`${adapter.name}: ${sentence}`, async (t) => {
      const place = adapter.makePlace(t)
      const states: HotState[] = []
      const open = (): HotState => {
        const state = place.open()
        states.push(state)
        return state
      }
      try {
        await body(open(), open)
      } finally {
        for (const state of states) await state.close()
      }
    })
  }

  it('finds an indexed click by its id and no other', async (state) => {
    const [known, unknown] = [newClickId(NOW), newClickId(NOW)]
    await state.indexClicks([click(known, 'payload')], positionAt(1))
    assert.equal(state.getClick(known)?.toString(), 'payload')
    assert.equal(state.getClick(unknown), undefined)
  })

  it('hands out a payload that later look-ups do not change', async (state) => {
    const ids = [newClickId(NOW), newClickId(NOW)] as const
    await state.indexClicks([click(ids[0], 'one'), click(ids[1], 'two')], positionAt(2))
    const one = state.getClick(ids[0])
    state.getClick(ids[1])
    assert.equal(one?.toString(), 'one')
  })

  it('keeps the first payload of an id, within a batch and over batches', async (state) => {
    const id = newClickId(NOW)
    await state.indexClicks([click(id, 'first'), click(id, 'second')], positionAt(2))
    await state.indexClicks([click(id, 'third')], positionAt(3))
    assert.equal(state.getClick(id)?.toString(), 'first')
  })

  it('moves the position with the clicks, also where there are none, and keeps it over a restart', async (state, open) => {
    assert.equal(state.indexPosition('edge-0'), undefined)
    await state.indexClicks([click(newClickId(NOW), 'a')], positionAt(5))
    await state.indexClicks([], positionAt(9, NOW + 1))
    assert.deepEqual(state.indexPosition('edge-0'), { nextOffset: 9, appendedAt: NOW + 1 })
    assert.equal(state.indexPosition('edge-1'), undefined)
    await state.close()
    assert.deepEqual(open().indexPosition('edge-0'), { nextOffset: 9, appendedAt: NOW + 1 })
  })

  it('gives a key to the first of a batch and says who holds it to the others', async (state) => {
    const answers = await state.claim('event_identity', [request('a', 0), request('b', 1), request('a', 2)])
    assert.deepEqual(answers, [FIRST, FIRST, takenBy(0)])
  })

  it('answers a replayed batch as before, also after a restart', async (state, open) => {
    const batch = [request('a', 0), request('a', 1), request('b', 2)]
    const answers = await state.claim('event_identity', batch)
    assert.deepEqual(await state.claim('event_identity', batch), answers)
    await state.close()
    assert.deepEqual(await open().claim('event_identity', batch), answers)
  })

  it('tells whether a claim holds at a time, also where another has the state open', async (state, open) => {
    const [claim] = [request('a', 0)]
    const { key, at, ttlMs } = claim!
    assert.equal(state.isClaimed('visitor_campaign', key, at), false)
    await state.claim('visitor_campaign', [claim!])
    for (const one of [state, open()]) {
      assert.equal(one.isClaimed('visitor_campaign', key, at + ttlMs), true)
      assert.equal(one.isClaimed('visitor_campaign', key, at + ttlMs + 1), false)
      assert.equal(one.isClaimed('visitor_offer', key, at), false)
    }
  })

  it('lets a lapsed claim be taken over, and answers the replay of both sides as before', async (state) => {
    const batch = [
      request('a', 0),
      request('a', 1, NOW + 1_000),
      request('a', 2, NOW + 1_001),
      request('a', 3, NOW + 2_500),
    ]
    const answers = [FIRST, takenBy(0), FIRST, FIRST]
    assert.deepEqual(await state.claim('visitor_offer', batch), answers)
    assert.deepEqual(await state.claim('visitor_offer', batch), answers)
  })

  it('keeps the spaces apart', async (state) => {
    const spaces = ['event_identity', 'visitor_campaign', 'visitor_offer', 'signature'] as const
    for (const [offset, space] of spaces.entries())
      assert.deepEqual(await state.claim(space, [request('a', offset)]), [FIRST])
    assert.deepEqual(await state.claim('signature', [request('a', 9)]), [takenBy(3)])
  })

  it('takes keys of 1 to 16 bytes and refuses others without claiming any of the batch', async (state) => {
    assert.deepEqual(await state.claim('signature', [request('k'.repeat(16), 0)]), [FIRST])
    for (const key of ['', 'k'.repeat(17)]) {
      await assert.rejects(state.claim('signature', [request('a', 1), request(key, 2)]), RangeError)
    }
    assert.deepEqual(await state.claim('signature', [request('a', 3)]), [FIRST])
  })

  it('answers an empty batch with nothing', async (state) => {
    assert.deepEqual(await state.claim('signature', []), [])
  })

  it('forgets clicks by when they were appended, whatever time their ids tell', async (state) => {
    const version4 = parseClickId('0e3ad9a4-55a2-4e0e-8d0c-9d5c2f2ac0de')!
    const [old, claimsToBeOld, young] = [newClickId(NOW), newClickId(1), newClickId(NOW)]
    await state.indexClicks([click(old, 'a'), click(version4, 'b')], positionAt(2, NOW))
    await state.indexClicks([click(young, 'c'), click(claimsToBeOld, 'd')], positionAt(4, NOW + 10))
    assert.equal(await state.forgetBefore({ clicksBeforeMs: NOW + 10, claimsBeforeMs: 0 }), 2)
    const left = [old, version4, young, claimsToBeOld].map((id) => state.getClick(id)?.toString())
    assert.deepEqual(left, [undefined, undefined, 'c', 'd'])
  })

  it('forgets claims by when they were made, and keeps one that was taken over since', async (state) => {
    await state.claim('visitor_offer', [request('old', 0), request('renewed', 1)])
    await state.claim('visitor_offer', [request('renewed', 2, NOW + 5_000)])
    assert.equal(await state.forgetBefore({ clicksBeforeMs: 0, claimsBeforeMs: NOW + 1 }), 1)
    const answers = await state.claim('visitor_offer', [request('old', 3, NOW + 1), request('renewed', 4, NOW + 5_001)])
    assert.deepEqual(answers, [FIRST, takenBy(2, NOW + 5_000)])
    assert.equal(await state.forgetBefore({ clicksBeforeMs: 0, claimsBeforeMs: NOW + 9_000 }), 2)
  })

  it('forgets in steps, so that a claim made meanwhile does not wait for all', async (state) => {
    const clicks = Array.from({ length: 5_000 }, (_, index) => click(newClickId(NOW), String(index)))
    await state.indexClicks(clicks, positionAt(1))
    const forgetting = state.forgetBefore({ clicksBeforeMs: NOW + 1, claimsBeforeMs: 0 })
    await state.claim('signature', [request('a', 0)])
    assert.ok(clicks.some(({ clickId }) => state.getClick(clickId) !== undefined))
    assert.equal(await forgetting, 5_000)
    assert.ok(clicks.every(({ clickId }) => state.getClick(clickId) === undefined))
  })
}
