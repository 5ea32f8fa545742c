import assert from 'node:assert/strict'
import { test } from 'node:test'

import { applyConfiguration } from '#configuration'
import type { Pool } from '#platform/postgres'
import { withDatabase } from '#test-kit'

import { answerEndpoints, type EndpointsQuestion } from './endpoints-command.ts'

const CONFIGURATION = 'endpoints: { crm: { url: "https://crm.example/?c={click_id}" } }'

const ask = async (pool: Pool, question: EndpointsQuestion): Promise<string> => {
  const { text, isDone } = await answerEndpoints(pool, question, 'eva')
  return `${isDone ? 'done' : 'failed'}: ${text}`
}

test('waypost endpoints pauses, resumes, lists, enables and rotates, and says what it did', async (t) => {
  const { pool } = await withDatabase(t)
  await applyConfiguration(pool, CONFIGURATION, { by: 'test' })
  const recovery = { verb: 'recover', id: 'crm', since: '2026-01-01T00:00:00Z', perMinute: 30 } as const
  const crm = { object: 'endpoint', id: 'crm' } as const
  assert.equal(await ask(pool, { verb: 'list' }), 'done: Every endpoint is in order.')
  assert.equal(await ask(pool, { verb: 'pause', ...crm, note: 'fraud?' }), 'done: Postbacks of the endpoint crm wait.')
  assert.equal(
    await ask(pool, { verb: 'pause', ...crm, note: undefined }),
    'done: Postbacks of the endpoint crm wait, as before.',
  )
  assert.equal(
    await ask(pool, { verb: 'pause', object: 'affiliate', id: 'nobody', note: undefined }),
    'failed: There is no affiliate "nobody".',
  )
  await pool.query("INSERT INTO endpoint_states VALUES ('crm', now(), now(), 0, now(), 'gone', NULL)")
  const listed = (await ask(pool, { verb: 'list' })).split('\n')
  assert.match(listed[0]!, /^done: paused {4}endpoint crm {2}since \S+ by eva: fraud\?$/)
  assert.match(listed[1]!, /^disabled {2}endpoint crm {2}failing since \S+, disabled at \S+ \(gone\)$/)
  assert.equal(await ask(pool, { verb: 'resume', ...crm }), 'done: Postbacks of the endpoint crm go on.')
  assert.equal(await ask(pool, { verb: 'resume', ...crm }), 'failed: The endpoint "crm" is not paused by hand.')
  assert.match(await ask(pool, { verb: 'enable', id: 'crm' }), /^done: .* is in service again\.\nIt missed nothing\.$/)
  assert.equal(await ask(pool, { verb: 'enable', id: 'crm' }), 'failed: The endpoint "crm" is not disabled.')
  assert.equal(
    await ask(pool, { ...recovery, isDryRun: true }),
    'done: Would be sent once more: 0.\nDry run: nothing was sent; --yes does it.',
  )
  assert.match(
    await ask(pool, { ...recovery, isDryRun: false }),
    /^done: Replay (\S+) runs\. .*waypost replay cancel \1$/,
  )
  const { rows } = await pool.query('SELECT per_minute, created_by, filter FROM delivery_replays')
  assert.deepEqual(rows, [
    {
      per_minute: 30,
      created_by: 'eva',
      filter: {
        endpoint_id: 'crm',
        from: '2025-12-02T00:00:00.000Z',
        ended_from: '2025-12-31T23:59:59.000Z',
        missed: true,
      },
    },
  ])
  assert.match(
    await ask(pool, { verb: 'rotate-secret', id: 'crm', keepHours: 24 }),
    /^done: whsec_\S{44}\nThis is the secret of crm as of version 2: put it into your configuration file\.$/,
  )
  assert.match(
    await ask(pool, { verb: 'rotate-secret', id: 'crm', keepHours: 24 }),
    /\nUntil \S+Z the old secret signs too\.$/,
  )
})
