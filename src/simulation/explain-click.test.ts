import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createMemoryCaps, type CapCounters } from '#caps'
import { openEnricher } from '#enrichment'
import { newClickId } from '#platform/ids'
import { compileSnapshot } from '#routing'
import { offer, snapshot, TEST_TIME } from '#routing/test-snapshots'

import { explainClick, type Explanation } from './explain-click.ts'

const enricher = openEnricher({ geoFiles: [] })
const routing = compileSnapshot(
  snapshot({
    offers: [offer('o1', { caps: [{ cap_id: 'daily', metric: 'clicks', period: 'day', limit: 1, mode: 'hard' }] })],
  }),
)
const explain = (...asked: Parameters<typeof explainClick>): Explanation => {
  const answer = explainClick(...asked)
  assert.equal(answer.kind, 'explained')
  return (answer as Extract<typeof answer, { kind: 'explained' }>).explanation
}
const explainWith = (caps: Pick<CapCounters, 'peek'> | undefined) =>
  explain({ enricher, sub2AllowedKeys: new Set(), clickOf: () => undefined, caps }, routing, {
    parameters: { o: 'o1', clickid: newClickId(TEST_TIME) },
    visitor: { country: 'DE' },
    headers: { 'user-agent': 'Mozilla/5.0' },
    at: TEST_TIME,
  })

test('looks at the counts of caps and takes nothing from them', () => {
  const counters = createMemoryCaps()
  let looked = 0
  const caps: Pick<CapCounters, 'peek'> = {
    peek: (...asked) => {
      looked += 1
      return counters.peek(...asked)
    },
  }
  // A cap of one click takes as many explanations as one likes.
  for (let count = 1; count <= 3; count += 1) {
    assert.equal(explainWith(caps).outcome, 'redirected')
    assert.equal(looked, count)
  }
  const full = explainWith({ peek: () => ({ kind: 'full', index: 0 }) })
  assert.equal(full.refusal, 'over_cap')
  assert.ok(full.decision.includes('The cap “daily” of the offer “Offer o1” is full.'))
  assert.ok(!full.notes.some((note) => note.startsWith('Caps')))
})

test('says so where caps are not looked at', () => {
  const { outcome, notes } = explainWith(undefined)
  assert.equal(outcome, 'redirected')
  assert.ok(notes.includes('Caps were not asked here: each is taken to have room.'))
})

test('says so where the fraud score reads what was not given', () => {
  const scored = compileSnapshot(snapshot({ fraud: {} }))
  const notesOf = (headers: Readonly<Record<string, string>>) =>
    explain({ enricher, sub2AllowedKeys: new Set(), clickOf: () => undefined }, scored, {
      ...{ parameters: { o: 'o1' }, visitor: {}, headers, at: TEST_TIME },
    }).notes.filter((note) => note.startsWith('No '))
  const tail = 'was given: the fraud score takes it for a visitor who sends none.'
  assert.deepEqual(notesOf({}), [`No user agent and no language ${tail}`])
  assert.deepEqual(notesOf({ 'user-agent': 'Mozilla/5.0' }), [`No language ${tail}`])
  assert.deepEqual(notesOf({ 'user-agent': 'Mozilla/5.0', 'accept-language': 'de' }), [])
})

test('an address that is no link is told as one, not decided as a code that nobody has', () => {
  const explainer = { enricher, sub2AllowedKeys: new Set<string>(), clickOf: () => undefined }
  const answerFor = (url: string, linkCode?: string) =>
    explainClick(explainer, routing, { url, linkCode, parameters: {}, visitor: {}, headers: {}, at: TEST_TIME })
  const whyOf = (url: string): string | undefined => {
    const answer = answerFor(url)
    return answer.kind === 'no_click' ? answer.why : undefined
  }
  assert.equal(whyOf('https://go.example/hop?u=x'), '/hop is an address of the edge itself, which records no click')
  assert.equal(whyOf('/t.js'), '/t.js is an address of the edge itself, which records no click')
  assert.equal(whyOf('https://go.example/main/extra?c=summer'), 'the edge has no link at /main/extra: clicks come to /click or /<link code>') // prettier-ignore
  assert.equal(whyOf('go.example/main'), 'the edge has no link at /go.example/main: clicks come to /click or /<link code>') // prettier-ignore
  for (const url of ['/click?c=summer', 'https://go.example/main', 'main', '/main#top']) assert.equal(whyOf(url), undefined, url) // prettier-ignore
  assert.equal(answerFor('/hop', 'main').kind, 'explained')
})
