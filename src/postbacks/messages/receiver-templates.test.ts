import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClickRecord } from '#records'
import type { PostbackEndpoint } from '#routing'
import type { DeliveryCause } from './delivery-causes.ts'
import { fillSecrets } from '../sending/fill-secrets.ts'
import { prepareDeliveries } from './prepare-deliveries.ts'
import {
  fillReceiverTemplate,
  receiverTemplateNames,
  receiverTemplates,
  type ReceiverTemplateName,
} from './receiver-templates.ts'
import { sampleCause, sampleEndpoint, sampleSnapshot } from '../test-causes.ts'
import { answerRulesOf } from '../sending/judge-answer.ts'
import { validateEndpoint } from './validate-endpoint.ts'

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`

function endpointOf(name: ReceiverTemplateName, parameters: Readonly<Record<string, string>>): PostbackEndpoint {
  const filled = fillReceiverTemplate(name, parameters)
  assert.ok('url' in filled, JSON.stringify(filled))
  const { isSigned, ...sent } = filled
  return sampleEndpoint({ ...sent, ...(isSigned && { secret: SECRET }) })
}

const rejectedAfterwards = (click: Partial<ClickRecord>): DeliveryCause => ({
  ...(sampleCause({ revision: 2, status: 'rejected', txid: 'T 1' }, click) as DeliveryCause & { trigger: 'sale' }),
  trigger: 'rejected',
})

/** The click of a tracker whose click id is `its&click`, and a pending lead that was rejected afterwards. */
function requestsOf(name: ReceiverTemplateName, parameters: Readonly<Record<string, string>>) {
  const endpoint = endpointOf(name, parameters)
  assert.deepEqual(validateEndpoint(endpoint), [])
  const click = { external_click_id: 'its&click', sub3: 'third' }
  const causes = [
    sampleCause({ txid: 'T 1' }, click),
    sampleCause({ conversionId: '01890a5d-ac96-774b-bcce-000000000002', type: 'lead', status: 'pending', txid: '-', goal: 'reg' }, click), // prettier-ignore
    rejectedAfterwards(click),
  ]
  return prepareDeliveries(causes, sampleSnapshot([endpoint])).deliveries.map(
    ({ method, url, body, contentType = null }) => {
      const keys = Object.values(endpoint.secrets ?? {})
      assert.ok(!keys.some((key) => url.includes(encodeURIComponent(key))), url)
      return `${method} ${fillSecrets({ url, body, contentType, headers: null }, endpoint).url}`
    },
  )
}

const cases: readonly (readonly [ReceiverTemplateName, Readonly<Record<string, string>>, readonly string[]])[] = [
  ['keitaro', { host: 'k.example', key: 'a1/b' }, [
    'GET https://k.example/a1%2Fb/postback?subid=its%26click&status=sale&payout=12.5&currency=USD&tid=T%201&return=waypost_ok',
    'GET https://k.example/a1%2Fb/postback?subid=its%26click&status=lead&payout=12.5&currency=USD&tid=&return=waypost_ok',
    'GET https://k.example/a1%2Fb/postback?subid=its%26click&status=rejected&payout=12.5&currency=USD&tid=T%201&return=waypost_ok',
  ]],
  ['binom', { host: 'b.example', click_id: 'sub3' }, [
    'GET https://b.example/postback?clickid=third&payout=12.5&cnv_currency=USD&cnv_status=sale&cnv_status2=approved',
    'GET https://b.example/postback?clickid=third&payout=12.5&cnv_currency=USD&cnv_status=lead&cnv_status2=pending',
    'GET https://b.example/postback?clickid=third&payout=12.5&cnv_currency=USD&cnv_status=rejected&cnv_status2=rejected',
  ]],
  ['binom_v1', { host: 'b.example:8443' }, [
    'GET https://b.example:8443/click.php?cnv_id=its%26click&payout=12.5&cnv_currency=USD&cnv_status=sale&cnv_status2=approved',
    'GET https://b.example:8443/click.php?cnv_id=its%26click&payout=12.5&cnv_currency=USD&cnv_status=lead&cnv_status2=pending',
    'GET https://b.example:8443/click.php?cnv_id=its%26click&payout=12.5&cnv_currency=USD&cnv_status=rejected&cnv_status2=rejected',
  ]],
  ['voluum', { host: 'v.example', event: '{goal}' }, [
    'GET https://v.example/postback?cid=its%26click&payout=12.5&txid=T%201&currency=USD&et=deposit',
    'GET https://v.example/postback?cid=its%26click&payout=12.5&txid=&currency=USD&et=reg',
  ]],
  ['redtrack', { host: 'r.example', type: 'My Type' }, [
    'GET https://r.example/postback?clickid=its%26click&sum=12.5&status=Approved&type=My%20Type',
    'GET https://r.example/postback?clickid=its%26click&sum=12.5&status=Pending&type=My%20Type',
    'GET https://r.example/postback?clickid=its%26click&sum=12.5&status=Declined&type=My%20Type',
  ]],
  ['bemob', { host: 'm.example' }, [
    'GET https://m.example/postback?cid=its%26click&payout=12.5&txid=T%201&status=approved',
    'GET https://m.example/postback?cid=its%26click&payout=12.5&txid=&status=pending',
    'GET https://m.example/postback?cid=its%26click&payout=12.5&txid=T%201&status=rejected',
  ]],
  ['everflow', { host: 'e.example', nid: '77', token: 'se&cret' }, [
    'GET https://e.example/?nid=77&transaction_id=its%26click&amount=100&order_id=T%201&verification_token=se%26cret',
    'GET https://e.example/?nid=77&transaction_id=its%26click&amount=100&order_id=&verification_token=se%26cret',
  ]],
  ['tune', { host: 'demo.go2cloud.org', goal_id: '12' }, [
    'GET https://demo.go2cloud.org/aff_lsr?transaction_id=its%26click&amount=100&conversion_unique_id=T%201&goal_id=12',
    'GET https://demo.go2cloud.org/aff_lsr?transaction_id=its%26click&amount=100&conversion_unique_id=&goal_id=12',
  ]],
  ['affise', { host: 'a.example', secure: 's3cure' }, [
    'GET https://a.example/postback?clickid=its%26click&action_id=01890a5d-ac96-774b-bcce-000000000001&sum=12.5&currency=USD&status=1&goal=deposit&secure=s3cure',
    'GET https://a.example/postback?clickid=its%26click&action_id=01890a5d-ac96-774b-bcce-000000000002&sum=12.5&currency=USD&status=2&goal=reg&secure=s3cure',
    'GET https://a.example/postback?clickid=its%26click&action_id=01890a5d-ac96-774b-bcce-000000000001&sum=12.5&currency=USD&status=3&goal=deposit&secure=s3cure',
  ]],
  ['trackier', { host: 't.example', goal: 'dep-{goal}' }, [
    'GET https://t.example/acquisition?click_id=its%26click&txn_id=T%201&status=approved&revenue=12.5&sale_amount=100&currency=USD&goal_value=dep-deposit',
    'GET https://t.example/acquisition?click_id=its%26click&txn_id=&status=pending&revenue=12.5&sale_amount=100&currency=USD&goal_value=dep-reg',
    'GET https://t.example/acquisition?click_id=its%26click&txn_id=T%201&status=rejected&revenue=12.5&sale_amount=100&currency=USD&goal_value=dep-deposit',
  ]],
  ['standard_webhooks', { url: 'https://w.example/hook?s={sub3}' }, [
    'POST https://w.example/hook?s=third',
    'POST https://w.example/hook?s=third',
    'POST https://w.example/hook?s=third',
  ]],
] // prettier-ignore

for (const [name, parameters, expected] of cases)
  test(`${name}: exactly these requests`, () => {
    assert.deepEqual(requestsOf(name, parameters), expected)
  })

test('standard_webhooks sends the standard body, as JSON', () => {
  const endpoint = endpointOf('standard_webhooks', { url: 'https://w.example/' })
  const [delivery] = prepareDeliveries([sampleCause()], sampleSnapshot([endpoint])).deliveries
  assert.equal(delivery!.contentType, 'application/json')
  const { type, data } = JSON.parse(delivery!.body!)
  assert.deepEqual([type, data.payout, data.event_id], ['conversion.sale', '12.5', delivery!.eventId])
})

test('every template has its case, a source and a meaning for each parameter', () => {
  assert.deepEqual(cases.map(([name]) => name), receiverTemplateNames) // prettier-ignore
  for (const template of Object.values(receiverTemplates)) {
    assert.match(template.source, /^https:\/\//)
    for (const { name, description } of template.parameters) {
      assert.notEqual(description, '')
      assert.ok(template.url.includes(`<${name}>`), name)
    }
  }
})

test('without the click id of the receiver nothing is sent', () => {
  for (const [name, parameters] of cases) {
    if (name === 'standard_webhooks') continue
    const { whyNot } = prepareDeliveries(
      [sampleCause({}, { external_click_id: '', sub3: '' })],
      sampleSnapshot([endpointOf(name, parameters)]),
    )
    assert.deepEqual(whyNot.map((item) => item.reason), ['macro_empty'], name) // prettier-ignore
  }
})

test('parameters that are missing, unknown or of another form are named', () => {
  const problemsOf = (parameters: Readonly<Record<string, string>>) => {
    const found = fillReceiverTemplate('keitaro', parameters)
    return 'url' in found ? [] : found.map(({ code, parameter }) => `${parameter}: ${code}`)
  }
  assert.deepEqual(problemsOf({}), ['host: key_missing', 'key: key_missing'])
  assert.deepEqual(problemsOf({ host: 'k.example', key: 'x', hots: '' }), ['hots: key_unknown'])
  for (const host of ['https://k.example', 'k.example/', 'k example', '{sub1}.example', 'u@k.example', ''])
    assert.deepEqual(problemsOf({ host, key: 'x' }), ['host: value_not_allowed'], host)
  for (const click_id of ['{sub1}', 'nope', 'sub1!}&x={sub2'])
    assert.deepEqual(problemsOf({ host: 'k.example', key: 'x', click_id }), ['click_id: value_not_allowed'])
  for (const key of [' ', 'a\nb', '..', 'x'.repeat(513)])
    assert.deepEqual(problemsOf({ host: 'k.example', key }), ['key: value_not_allowed'], key)
})

test('a parameter that is a key becomes a secret of the endpoint; with a macro in it, it is what the message says', () => {
  const tokenOf = (token: string) => {
    const filled = fillReceiverTemplate('tune', { host: 'h.example', token })
    assert.ok('url' in filled)
    return [filled.url.split('security_token=')[1], filled.secrets]
  }
  assert.deepEqual(tokenOf('t/1'), ['{secret.token}', { token: 't/1' }])
  assert.deepEqual(tokenOf('{sub3}'), ['{sub3}', {}])
  assert.deepEqual(tokenOf('{secret.mine}'), ['{secret.mine}', {}])
})

/** Answers with status 200, and whether the message was taken. */
const answers200: readonly (readonly [ReceiverTemplateName, string, boolean])[] = [
  ['tune', 'success=true;', true],
  ['tune', 'success=false;err_msg=invalid transaction id', false],
  ['affise', '{"status":1,"message":"Success"}', true],
  ['affise', '{"status":2,"message":"Broken clickid"}', false],
  ['affise', '{"status": 2, "message": "Access denied"}', false],
  ['keitaro', 'waypost_ok', true],
  ['keitaro', 'Incorrect subid "". Postback ignored.', false],
  ['everflow', '', true],
  ['trackier', 'error', true],
]

for (const [name, body, isTaken] of answers200)
  test(`${name}: 200 with ${JSON.stringify(body)} is ${isTaken ? 'a success' : 'a failure, tried again for an hour'}`, () => {
    const [, parameters] = cases.find(([one]) => one === name)!
    const rules = answerRulesOf(endpointOf(name, parameters))
    assert.equal(rules.acceptsBody?.(body) ?? true, isTaken)
    if (!isTaken) assert.equal(rules.otherwise, 'retry_briefly')
  })
