import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Target, targetOf } from './target.ts'

test('a target has what the client needs, as the URL was understood', () => {
  const { origin, path } = new Target('HTTPS://T.example:443/a b/../pb?x=ä#part')
  assert.deepEqual([origin, path], ['https://t.example', '/pb?x=%C3%A4'])
})

test('what is wrong with a target depends on who sends', () => {
  const local = new Target('http://127.0.0.1:8080/pb')
  for (const round of [1, 2])
    assert.deepEqual([local.wrongFor(true), local.wrongFor(false)], [undefined, 'address'], `round ${round}`)
  const mail = new Target('http://t.example:25/')
  assert.deepEqual([mail.wrongFor(false), mail.wrongFor(true)], ['port', 'port'])
})

test('the same URL of an endpoint is parsed once, another one anew, and endpoints share nothing', () => {
  const [one, other] = [{}, {}]
  const first = targetOf(one, 'https://t.example/pb')
  assert.equal(targetOf(one, 'https://t.example/pb'), first)
  assert.equal(targetOf(one, 'https://t.example/pb?cid=1').path, '/pb?cid=1')
  assert.equal(targetOf(one, 'https://t.example/pb').path, '/pb')
  assert.notEqual(targetOf(other, 'https://t.example/pb'), targetOf(one, 'https://t.example/pb'))
})

test('what is no URL is refused, and the one before stays', () => {
  const endpoint = {}
  const first = targetOf(endpoint, 'https://t.example/pb')
  assert.throws(() => targetOf(endpoint, 'https://'), TypeError)
  assert.equal(targetOf(endpoint, 'https://t.example/pb'), first)
})
