import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSsrfMatrix } from './test-ssrf.ts'

for (const seed of [1, 20_261_121]) {
  test(`nothing leads a postback to where it may not go (seed ${seed})`, async (t) => {
    const { tried, findings } = await runSsrfMatrix({ seed })
    t.diagnostic(JSON.stringify(tried))
    assert.deepEqual(findings, [])
  })
}
