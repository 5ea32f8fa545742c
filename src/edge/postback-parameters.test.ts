import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'

import { maskSecrets } from './mask-secrets.ts'
import { ambiguousPostbackNames, postbackParameterNames, readPostback } from './postback-parameters.ts'

const CLICK_ID = '0196a1b2-0000-7000-8000-000000000001'
const read = (parameters: Readonly<Record<string, string>>, cookie?: string) =>
  readPostback(new Map(Object.entries(parameters)), cookie)

describe('the parameters of a postback', () => {
  const samples: Readonly<Record<keyof typeof postbackParameterNames, readonly [string, unknown]>> = {
    click_id: [CLICK_ID, CLICK_ID],
    payout: ['1.5', 1_500_000],
    sale_amount: ['20', 20_000_000],
    currency: ['usd', 'USD'],
    status: ['Approved', 'Approved'],
    goal: ['ftd', 'ftd'],
    txid: ['T1', 'T1'],
    secret: ['s', 's'],
    signature: ['x', 'x'],
    timestamp: ['1', '1'],
    reply: ['OK', 'OK'],
  }
  for (const [name, aliases] of Object.entries(postbackParameterNames)) {
    test(`${name} is known by ${aliases.length} names`, () => {
      const [sent, kept] = samples[name as keyof typeof samples]
      for (const alias of aliases) {
        const { fields, ...rest } = read({ [alias]: sent })
        const found = {
          click_id: fields.click_id,
          payout: fields.amount_micros,
          sale_amount: fields.sale_amount_micros,
          currency: fields.currency,
          status: fields.raw_status,
          goal: fields.raw_goal,
          txid: fields.txid,
          ...rest,
        }
        assert.equal(found[name as keyof typeof found], kept, alias)
      }
    })
  }

  test('no name stands for two things', () => {
    const all = [...Object.values(postbackParameterNames).flat(), ...ambiguousPostbackNames]
    assert.equal(new Set(all).size, all.length)
  })

  test('transaction_id is the click where nothing else is, else the transaction', () => {
    assert.equal(read({ transaction_id: CLICK_ID }).fields.click_id, CLICK_ID)
    const both = read({ transaction_id: 'T1', clickid: CLICK_ID }).fields
    assert.equal(both.click_id, CLICK_ID)
    assert.equal(both.txid, 'T1')
  })

  test('type is the status where nothing else is, else the goal', () => {
    assert.equal(read({ type: 'sale' }).fields.raw_status, 'sale')
    assert.deepEqual(read({ type: 'ftd', status: 'approved' }).fields, { raw_status: 'approved', raw_goal: 'ftd' })
  })

  test('the cookie counts where no click is named', () => {
    assert.equal(read({ status: 'sale' }, CLICK_ID).clickId, CLICK_ID)
    assert.equal(read({ clickid: 'x', status: 'sale' }, CLICK_ID).refusal, 'click_id_invalid')
  })

  test('what is understood of a refused postback is kept', () => {
    const { fields, refusal } = read({ clickid: CLICK_ID, status: 'sale', payout: '{payout}', currency: 'EUR' })
    assert.equal(refusal, 'literal_macro')
    assert.deepEqual(fields, { raw_click_id: CLICK_ID, click_id: CLICK_ID, raw_status: 'sale', currency: 'EUR' })
  })

  test('any parameters are read without an error', () => {
    const names = [...Object.values(postbackParameterNames).flat(), ...ambiguousPostbackNames]
    const parameters = fc.dictionary(fc.constantFrom(...names), fc.string({ minLength: 1, unit: 'binary' }))
    fc.assert(fc.property(parameters, (given) => void read(given)))
  })
})

describe('masking', () => {
  test('hides secrets by their names in queries, forms and JSON', () => {
    assert.equal(maskSecrets('a=1&secret=abc&key=d', []), 'a=1&secret=***&key=***')
    assert.equal(maskSecrets('token=abc', []), 'token=***')
    assert.equal(maskSecrets('{"secret": "abc", "b": 1}', []), '{"secret": "***", "b": 1}')
    assert.equal(maskSecrets('monkey=1&keys=2', []), 'monkey=1&keys=2')
  })

  test('hides a known secret wherever it stands, encoded or not', () => {
    assert.equal(maskSecrets('x=a%20b%20c&y=a b c', ['a b c']), 'x=***&y=***')
  })

  test('cuts at 2 048 characters', () => {
    assert.equal(maskSecrets('x'.repeat(5_000), []).length, 2_048)
  })
})
