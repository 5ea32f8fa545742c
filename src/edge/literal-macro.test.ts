import assert from 'node:assert/strict'
import { test } from 'node:test'

import { isLiteralMacro } from './literal-macro.ts'

test('macros in every way that networks write them are recognised', () => {
  const macros = [
    ...[
      '{payout}',
      '{{payout}}',
      '##PAYOUT##',
      '[payout]',
      '#tid#',
      '${payout}',
      '%payout%',
      '[[[payout]]]',
      '#{payout}',
    ],
    ...['<payout>', '[=payout=]', '{sub_id:raw}', '##CPA_AMOUNT##,##RS_AMOUNT##', 'order-{id}'],
  ]
  for (const text of macros) assert.ok(isLiteralMacro(text), text)
})

test('honest values are not', () => {
  for (const text of ['12.50', 'approved', '#4711', '100%', '[1]', 'a<b', 'x{1}', '', '5%off', '{}', '1,2', 'a#b#c']) {
    assert.ok(!isLiteralMacro(text), text)
  }
})
