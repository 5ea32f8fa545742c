import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSignedRight } from './webhook-receiver.ts'

/** The example of the specification's own libraries. */
const vector = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: '1614265330',
  body: '{"test": 2432232314}',
  signatures: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
}
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const nowMs = 1_614_265_330_000

test("the stranger's receiver takes the specification's example and nothing near it", () => {
  assert.equal(isSignedRight(vector, secret, nowMs), true)
  assert.equal(isSignedRight({ ...vector, signatures: `v1,AAAA v1a,x ${vector.signatures}` }, secret, nowMs), true)
  assert.equal(isSignedRight({ ...vector, body: '{"test": 2432232315}' }, secret, nowMs), false)
  assert.equal(isSignedRight({ ...vector, id: 'msg_other' }, secret, nowMs), false)
  assert.equal(isSignedRight({ ...vector, signatures: vector.signatures.slice(3) }, secret, nowMs), false)
  assert.equal(isSignedRight(vector, 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', nowMs), false)
  assert.equal(isSignedRight(vector, secret, nowMs + 301_000), false)
})
