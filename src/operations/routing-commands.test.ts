import assert from 'node:assert/strict'
import { test } from 'node:test'

import { printSimulation } from './routing-commands.ts'

type Printed = Parameters<typeof printSimulation>[0]

const simulation = (movements: Printed['movements']): Printed => ({
  clicks: {
    in_period: 10, decided: 10, from_log: 10, from_facts: 0, not_reproduced: 0, version_unknown: 0, unreadable: 0,
    is_cut: false, not_reproduced_examples: [],
  },
  sample: 1,
  moved: 10,
  before: [],
  after: [],
  movements,
  not_shown: { before: 0, after: 0, movements: 0 },
  earnings: { by_currency: [], unknown: [] } as unknown as Printed['earnings'],
  caps: undefined,
  clicks_per_second: 1,
  missing_days: [{ table: 'clicks', from: '2026-10-20', to: '2026-10-21', columns: ['click_id'], why: 'needs_raw_rows' }],
  limits: [],
}) // prettier-ignore

test('a movement shows what became of the click, not its reason alone', () => {
  const text = printSimulation(
    simulation([
      {
        clicks: 7,
        from: { outcome: 'not_found', refusal: 'campaign_unknown' },
        to: { outcome: 'fallback', refusal: 'campaign_unknown' },
      },
      { clicks: 2, from: { outcome: 'redirected', campaign_id: 'c', offer_id: 'o' }, to: { outcome: 'shown', campaign_id: 'c' } },
      { clicks: 1, from: { outcome: 'shown', campaign_id: 'c' }, to: { outcome: 'not_found', campaign_id: 'c', refusal: 'over_cap' } },
    ]),
  ) // prettier-ignore
  assert.deepEqual(text.split('\n').slice(1, 5), [
    'The clicks of 2026-10-20 to 2026-10-21 are left out: they were retired.',
    '  7  not found (campaign_unknown) → fallback (campaign_unknown)',
    '  2  c / o → c shown',
    '  1  c shown → c not found (over_cap)',
  ])
})
