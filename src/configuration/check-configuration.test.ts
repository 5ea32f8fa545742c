import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import fc from 'fast-check'

import { checkConfiguration, issueCodes, type Issue, type IssueCode } from './index.ts'

const minimal = readFileSync(new URL('../../examples/minimal.yaml', import.meta.url), 'utf8')

/** A correct file; each case below breaks one thing in it. */
const advertiser = 'advertisers:\n  acme: {}\n'
const offerWith = (more: string, prices = '[{ type: sale, payout: 1 }]'): string =>
  `${advertiser}offers:\n  lamp:\n    advertiser_id: acme\n    landing_url: https://acme.example/\n    prices: ${prices}\n${more}`
const offer = offerWith('')
const campaignWith = (more: string): string => `${offer}campaigns:\n  main:\n    advertiser_id: acme\n${more}`
const flowWith = (more: string): string =>
  campaignWith(`    flows:\n      - flow_id: f\n        offer_id: lamp\n${more}`)
const flowTo = (keys: string): string => campaignWith(`    flows: [{ flow_id: f, ${keys} }]\n`)
const endpointWith = (more: string): string => `endpoints:\n  crm:\n    url: https://crm.example/?c={click_id}\n${more}`

const noticesWith = (more: string): string =>
  `endpoints:\n  ops:\n${more}    url: https://ops.example/\n    secret: whsec_${Buffer.alloc(24, 1).toString('base64')}\n`

type Case = readonly [code: IssueCode, what: string, yaml: string, line: number, path: string]

const cases: readonly Case[] = [
  ['yaml_invalid', 'broken syntax', 'offers:\n  a: [1, 2\n', 3, ''],
  ['yaml_invalid', 'an alias without an anchor', 'advertisers:\n  acme: *nothing\n', 2, ''],
  ['yaml_invalid', 'a merge key', 'advertisers:\n  acme: &base {}\n  b:\n    <<: *base\n', 4, 'advertisers.b'],
  ['file_too_large', 'more bytes than anybody writes', `# ${'x'.repeat(16 * 1024 * 1024)}`, 1, ''],
  ['file_too_large', 'anchors that multiply each other', billionLaughs(), 11, ''],
  ['key_unknown', 'an unknown section', 'offres: {}\n', 1, 'offres'],
  ['key_unknown', 'an unknown key', `${advertiser}    colour: red\n`.replace('{}', ''), 3, 'advertisers.acme.colour'],
  ['key_missing', 'a missing key', 'offers:\n  lamp: { landing_url: https://a.example/, prices: [{ type: sale, payout: 1 }] }\n', 2, 'offers.lamp'],
  ['key_missing', 'an offer without landings', `${advertiser}offers:\n  lamp: { advertiser_id: acme, prices: [{ type: sale, payout: 1 }] }\n`, 4, 'offers.lamp'],
  ['key_missing', 'a campaign without flows', campaignWith(''), 9, 'campaigns.main'],
  ['key_missing', 'a flow without offers', campaignWith('    flows: [{ flow_id: f }]\n'), 11, 'campaigns.main.flows[0]'],
  ['key_missing', 'a link without target', 'links:\n  go: {}\n', 2, 'links.go'],
  ['type_wrong', 'a list in place of an object', 'offers: []\n', 1, 'offers'],
  ['type_wrong', 'a text in place of a number', offerWith('    hold_days: soon\n'), 8, 'offers.lamp.hold_days'],
  ['type_wrong', 'a word in place of a boolean', 'prune: maybe\n', 1, 'prune'],
  ['type_wrong', 'a list at the top', '- offers\n', 1, ''],
  ['value_not_allowed', 'a status that does not exist', 'advertisers:\n  acme: { status: actve }\n', 2, 'advertisers.acme.status'],
  ['value_not_allowed', 'a meaning that does not exist', offerWith('    status_map: { ok: fine }\n'), 8, 'offers.lamp.status_map.ok'],
  ['value_out_of_range', 'a number that is too large', offerWith('    hold_days: 366\n'), 8, 'offers.lamp.hold_days'],
  ['value_out_of_range', 'an empty list', offerWith('', '[]'), 7, 'offers.lamp.prices'],
  ['value_out_of_range', 'a long name', `advertisers:\n  acme: { name: ${'x'.repeat(201)} }\n`, 2, 'advertisers.acme.name'],
  ['id_invalid', 'capitals in an id', 'advertisers:\n  Acme: {}\n', 2, 'advertisers.Acme'],
  ['id_invalid', 'a link that is an address of the edge', `${offer}links:\n  Postback: { offer_id: lamp }\n`, 9, 'links.Postback'],
  ['id_duplicate', 'the same id twice', 'advertisers:\n  acme: {}\n  acme: {}\n', 3, 'advertisers.acme'],
  ['id_duplicate', 'the same landing twice', offerWith('    landings: [{ landing_id: a, url: https://a.example/ }, { landing_id: a, url: https://b.example/ }]\n').replace('    landing_url: https://acme.example/\n', ''), 7, 'offers.lamp.landings[1].landing_id'],
  ['id_duplicate', 'the same flow in two campaigns', `${flowWith('')}  second:\n    advertiser_id: acme\n    flows: [{ flow_id: f, offer_id: lamp }]\n`, 16, 'campaigns.second.flows[0].flow_id'],
  ['id_duplicate', 'the same offer twice in a flow', campaignWith('    flows: [{ flow_id: f, offers: [{ offer_id: lamp }, { offer_id: lamp }] }]\n'), 11, 'campaigns.main.flows[0].offers[1].offer_id'],
  ['id_duplicate', 'a custom event that is built in', offerWith('    custom_events: [kyc, deposit]\n'), 8, 'offers.lamp.custom_events'],
  ['reference_unknown', 'an offer of nobody', `${offer}campaigns:\n  main: { advertiser_id: acme, offer_id: lampp }\n`, 9, 'campaigns.main.offer_id'],
  ['reference_unknown', 'a link to a flow that is nowhere', `${flowWith('')}links:\n  go: { flow_id: g }\n`, 15, 'links.go.flow_id'],
  ['reference_unknown', 'a link to a flow of another campaign', `${flowWith('')}  second: { advertiser_id: acme, offer_id: lamp }\nlinks:\n  go: { campaign_id: second, flow_id: f }\n`, 16, 'links.go.flow_id'],
  ['reference_unknown', 'a mapping of an event that the offer does not have', offerWith('    event_map: { kyc: lead }\n'), 8, 'offers.lamp.event_map.kyc'],
  ['reference_unknown', 'something marked absent', `links:\n  go: { offer_id: lamp }\noffers:\n  lamp: { state: absent }\n`, 2, 'links.go.offer_id'],
  ['reference_foreign', 'an offer of another advertiser', `${offer.replace('acme: {}', 'acme: {}\n  other: {}')}campaigns:\n  main: { advertiser_id: other, offer_id: lamp }\n`, 10, 'campaigns.main'],
  ['reference_foreign', 'an affiliate that is no member', `${offer}affiliates:\n  anna: {}\ncampaigns:\n  main: { advertiser_id: acme, affiliate_id: anna, offer_id: lamp }\n`, 11, 'campaigns.main.affiliate_id'],
  ['reference_foreign', 'an endpoint for the offer of another', `${offer.replace('acme: {}', 'acme: {}\n  other: {}')}endpoints:\n  crm: { advertiser_id: other, offer_id: lamp, url: https://crm.example/ }\n`, 10, 'endpoints.crm.offer_id'],
  ['fraud_invalid', 'a referrer that is no host', 'fraud:\n  referrers:\n    deny: [a.example, "http://b"]\n', 3, 'fraud.referrers.deny[1]'],
  ['fraud_invalid', 'a list of referrers that does not exist', offerWith('    fraud: { referrers: { allow: ["@none"] } }\n'), 8, 'offers.lamp.fraud.referrers.allow[0]'],
  ['fraud_invalid', 'the same name of two rules', 'fraud:\n  own_rules:\n    - { name: a, score: 1, rule: bot }\n    - { name: a, score: 2, rule: bot }\n', 4, 'fraud.own_rules[1].name'],
  ['rule_invalid', 'a rule of fraud', 'fraud:\n  own_rules:\n    - { name: a, score: 1, rule: "county is DE" }\n', 3, 'fraud.own_rules[0].rule'],
  ['value_out_of_range', 'more points than there are', 'fraud:\n  thresholds: { refuse: 101 }\n', 2, 'fraud.thresholds.refuse'],
  ['value_not_allowed', 'a rule of fraud that does not exist', 'fraud:\n  scores: { ip_rat: 10 }\n', 2, 'fraud.scores.ip_rat'],
  ['key_missing', 'a rate without a window', 'fraud:\n  rates: { ip: { limit: 10 } }\n', 2, 'fraud.rates.ip'],
  ['combination_invalid', 'two places to divert to', `${offer}fraud:\n  divert_to: { offer_id: lamp, url: https://a.example/ }\n`, 9, 'fraud.divert_to'],
  ['reference_unknown', 'an offer to divert to that is none', 'fraud:\n  divert_to: { offer_id: lamp }\n', 2, 'fraud.divert_to.offer_id'],
  ['reference_foreign', 'clicks diverted to the offer itself', offerWith('    fraud: { divert_to: { offer_id: lamp } }\n'), 8, 'offers.lamp.fraud.divert_to.offer_id'],
  ['amount_invalid', 'a comma in an amount', offerWith('', '[{ type: sale, payout: "1,50" }]'), 7, 'offers.lamp.prices[0].payout'],
  ['amount_invalid', 'an amount below zero', offerWith('', '[{ type: sale, payout: -1 }]'), 7, 'offers.lamp.prices[0].payout'],
  ['share_invalid', 'a share over 100 %', offerWith('    model: revshare\n', '[{ type: sale, payout_share: 101% }]'), 7, 'offers.lamp.prices[0].payout_share'],
  ['currency_unknown', 'a currency in small letters', 'advertisers:\n  acme: { currency: usd }\n', 2, 'advertisers.acme.currency'],
  ['timezone_unknown', 'a city without its continent', 'advertisers:\n  acme: { timezone: Berlin }\n', 2, 'advertisers.acme.timezone'],
  ['date_invalid', 'a day that does not exist', offerWith('    starts_at: 2026-02-30\n'), 8, 'offers.lamp.starts_at'],
  ['date_invalid', 'a time without an offset', offerWith('    ends_at: 2026-02-03T10:00\n'), 8, 'offers.lamp.ends_at'],
  ['date_order', 'an end before the start', offerWith('    starts_at: 2026-03-01\n    ends_at: 2026-03-01\n'), 9, 'offers.lamp.ends_at'],
  ['url_invalid', 'an address without scheme', 'advertisers:\n  acme: { fallback_url: acme.example }\n', 2, 'advertisers.acme.fallback_url'],
  ['url_invalid', 'a password in an address', 'fallback_url: https://user:secret@a.example/\n', 1, 'fallback_url'],
  ['url_invalid', 'an endpoint on a private address', 'endpoints:\n  crm: { url: "http://127.0.0.1/" }\n', 2, 'endpoints.crm.url'],
  ['macro_unknown', 'an unknown macro in a landing', offer.replace('acme.example/', 'acme.example/?c={clikid}'), 6, 'offers.lamp.landing_url'],
  ['macro_of_conversion', 'a payout in a landing', offer.replace('acme.example/', 'acme.example/?p={payout}'), 6, 'offers.lamp.landing_url'],
  ['macro_unknown', 'an unknown macro in a page', campaignWith('    flows: [{ flow_id: f, show_html: "<b>{clikid}</b>" }]\n'), 11, 'campaigns.main.flows[0].show_html'],
  ['macro_unknown', 'an unknown macro in a postback', endpointWith('').replace('click_id', 'clikc_id'), 3, 'endpoints.crm.url'],
  ['macro_malformed', 'a foreign macro in a postback', endpointWith('').replace('{click_id}', '{{click_id}}'), 3, 'endpoints.crm.url'],
  ['macro_map_invalid', 'a map that is none', endpointWith('').replace('{click_id}', '{status:lead=1 2}'), 3, 'endpoints.crm.url'],
  ['macro_function_invalid', 'a function that there is not', endpointWith('').replace('{click_id}', '{sub1:sha256|rot13}'), 3, 'endpoints.crm.url'],
  ['macro_unknown', 'an unknown macro in a header', endpointWith('    headers:\n      X-Good: "{sub1}"\n      X-Bad: "a {clikc_id}"\n'), 6, 'endpoints.crm.headers.X-Bad'],
  ['macro_confidential', 'our revenue in a header for an affiliate', `affiliates:\n  anna: {}\n${endpointWith('    affiliate_id: anna\n    headers: { X-R: "{profit}" }\n')}`, 7, 'endpoints.crm.headers.X-R'],
  ['header_invalid', 'a header that is ours', endpointWith('    headers: { Webhook-Id: "1" }\n'), 4, 'endpoints.crm.headers.Webhook-Id'],
  ['header_invalid', 'a header with a blank in its name', endpointWith('    headers: { "X Y": "1" }\n'), 4, 'endpoints.crm.headers.X Y'],
  ['header_invalid', 'a header that cannot be sent', endpointWith('    headers: { X-Y: "žluť" }\n'), 4, 'endpoints.crm.headers.X-Y'],
  ['notice_invalid', 'notices and sales for one endpoint', noticesWith('    triggers: [notice, sale]\n'), 3, 'endpoints.ops.triggers'],
  ['notice_invalid', 'notices without a signature', noticesWith('    triggers: [notice]\n').replace(/    secret: .*\n/, ''), 3, 'endpoints.ops.triggers'],
  ['notice_invalid', 'notices by GET', noticesWith('    method: GET\n    triggers: [notice]\n'), 3, 'endpoints.ops.method'],
  ['notice_invalid', 'notices with a body of their own', noticesWith('    body: "{}"\n    triggers: [notice]\n'), 3, 'endpoints.ops.body'],
  ['notice_invalid', 'a rule for notices', noticesWith('    rule: not bot\n    triggers: [notice]\n'), 3, 'endpoints.ops.rule'],
  ['notice_invalid', 'notices of a traffic source', noticesWith('    source_id: fb\n    triggers: [notice]\n'), 3, 'endpoints.ops.source_id'],
  ['notice_invalid', 'an address of notices with a macro', noticesWith('    triggers: [notice]\n').replace('ops.example/', 'ops.example/{click_id}'), 4, 'endpoints.ops.url'],
  ['batch_invalid', 'a batch by GET', endpointWith('    batch: { max_events: 10 }\n').replace('{click_id}', '1'), 4, 'endpoints.crm.batch'],
  ['batch_invalid', 'a batch whose address differs from message to message', endpointWith('    method: POST\n    batch: { max_events: 10 }\n'), 3, 'endpoints.crm.url'],
  ['value_out_of_range', 'a batch without limit', endpointWith('    method: POST\n    batch: { max_events: 1000000 }\n').replace('{click_id}', '1'), 5, 'endpoints.crm.batch.max_events'],
  ['combination_invalid', 'a wrapper where nothing is wrapped', endpointWith('    method: POST\n    batch: { max_events: 10, wrapper_key: data }\n').replace('{click_id}', '1'), 5, 'endpoints.crm.batch.wrapper_key'],
  ['value_not_allowed', 'a template that there is not', 'endpoints:\n  crm:\n    template: keitro\n', 3, 'endpoints.crm.template'],
  ['key_missing', 'a template without its parameter', 'endpoints:\n  crm:\n    template: keitaro\n    parameters:\n      host: t.example\n', 4, 'endpoints.crm.parameters'],
  ['key_unknown', 'a parameter that the template does not have', 'endpoints:\n  crm:\n    template: binom\n    parameters:\n      host: t.example\n      kee: 1\n', 6, 'endpoints.crm.parameters.kee'],
  ['value_not_allowed', 'a parameter that is no host', 'endpoints:\n  crm:\n    template: binom\n    parameters:\n      host: https://t.example/\n', 5, 'endpoints.crm.parameters.host'],
  ['value_not_allowed', 'a click id that is no macro', 'endpoints:\n  crm:\n    template: binom\n    parameters:\n      host: t.example\n      click_id: sub99\n', 6, 'endpoints.crm.parameters.click_id'],
  ['combination_invalid', 'a template with an address of its own', 'endpoints:\n  crm:\n    template: binom\n    url: https://t.example/\n    parameters: { host: t.example }\n', 4, 'endpoints.crm.url'],
  ['combination_invalid', 'parameters without a template', endpointWith('    parameters: { host: t.example }\n'), 4, 'endpoints.crm.parameters'],
  ['key_missing', 'a template that signs and no secret', 'endpoints:\n  crm:\n    template: standard_webhooks\n    parameters: { url: https://t.example/ }\n', 2, 'endpoints.crm'],
  ['key_missing', 'an endpoint without an address', 'endpoints:\n  crm:\n    method: POST\n', 2, 'endpoints.crm'],
  ['macro_in_host', 'a host that comes from a macro', endpointWith('').replace('crm.example', '{sub1}.example'), 3, 'endpoints.crm.url'],
  ['macro_in_host', 'a landing whose host the link chooses', offer.replace('acme.example/', 'acme.example{sub1}/'), 6, 'offers.lamp.landing_url'],
  ['macro_misplaced', 'a page whose script the link writes', campaignWith("    flows: [{ flow_id: f, show_html: '<script>a = \"{sub1}\"</script>' }]\n"), 11, 'campaigns.main.flows[0].show_html'],
  ['macro_misplaced', 'a signature where none is made', endpointWith('').replace('{click_id}', '{sig}'), 3, 'endpoints.crm.url'],
  ['macro_confidential', 'our revenue in the postback of an affiliate', `affiliates:\n  anna: {}\n${endpointWith('    affiliate_id: anna\n').replace('{click_id}', '{advertiser_revenue}')}`, 5, 'endpoints.crm.url'],
  ['url_fragment', 'a fragment in a postback', endpointWith('').replace('{click_id}', '1#top'), 3, 'endpoints.crm.url'],
  ['body_invalid', 'a body that is no JSON', endpointWith('    method: POST\n    body: "[1,"\n'), 5, 'endpoints.crm.body'],
  ['domain_invalid', 'an address in place of a domain', 'advertisers:\n  acme: { domains: [https://acme.example] }\n', 2, 'advertisers.acme.domains[0]'],
  ['address_invalid', 'an address of three parts', offerWith('    postback: { allowed_addresses: [10.0.0] }\n'), 8, 'offers.lamp.postback.allowed_addresses[0]'],
  ['domain_invalid', 'a port in a list of places', 'advertisers:\n  acme: { postback_allow: { domains: ["a.example:80"] } }\n', 2, 'advertisers.acme.postback_allow.domains[0]'],
  ['destination_not_allowed', 'an endpoint that is on no list of its advertiser', 'advertisers:\n  acme: { postback_allow: { domains: [partner.example] } }\nendpoints:\n  crm:\n    advertiser_id: acme\n    url: "https://evil.example/?c={click_id}"\n', 6, 'endpoints.crm.url'],
  ['destination_not_allowed', 'an address of an endpoint that is on no list', 'advertisers:\n  acme: { postback_allow: { addresses: [9.9.9.0/24] } }\nendpoints:\n  crm:\n    advertiser_id: acme\n    url: "https://8.8.8.8/?c={click_id}"\n', 6, 'endpoints.crm.url'],
  ['secret_invalid', 'a short secret', offerWith('    postback: { secrets: [abc] }\n'), 8, 'offers.lamp.postback.secrets[0]'],
  ['secret_invalid', 'a name of a secret in capitals', endpointWith('    secrets: { Key: a }\n'), 4, 'endpoints.crm.secrets.Key'],
  ['secret_invalid', 'a secret that climbs', endpointWith('    secrets: { key: ".." }\n'), 4, 'endpoints.crm.secrets.key'],
  ['combination_invalid', 'a secret that a template has already', 'endpoints:\n  crm:\n    template: keitaro\n    parameters: { host: t.example, key: a }\n    secrets: { key: b }\n', 5, 'endpoints.crm.secrets.key'],
  ['secret_unknown', 'a secret that there is not', endpointWith('    secrets: { token: a }\n').replace('{click_id}', '{secret.tokn}'), 3, 'endpoints.crm.url'],
  ['secret_unknown', 'a secret of a header that there is not', endpointWith('    headers: { X-K: "{secret.key}" }\n'), 4, 'endpoints.crm.headers.X-K'],
  ['secret_misplaced', 'a secret with a function', endpointWith('    secrets: { token: a }\n').replace('{click_id}', '{secret.token:md5}'), 3, 'endpoints.crm.url'],
  ['macro_in_host', 'a secret in the host', endpointWith('    secrets: { token: a }\n').replace('crm.example', '{secret.token}.example'), 3, 'endpoints.crm.url'],
  ['secret_invalid', 'a signing secret without its form', endpointWith('    secret: whsec_short\n'), 4, 'endpoints.crm.secret'],
  ['event_name_invalid', 'capitals in an event name', offerWith('    custom_events: [Kyc]\n'), 8, 'offers.lamp.custom_events[0]'],
  ['word_ambiguous', 'a status word in two cases', offerWith('    status_map:\n      OK: approved\n      ok: rejected\n'), 10, 'offers.lamp.status_map.ok'],
  ['rule_invalid', 'a field that no rule knows', flowWith('        rule: { contry: DE }\n'), 14, 'campaigns.main.flows[0].rule.contry'],
  ['rule_invalid', 'a country in small letters', flowWith('        rule: { not: { country: [DE, at] } }\n'), 14, 'campaigns.main.flows[0].rule.not.country[1]'],
  ['rule_invalid', 'a comparison that does not exist', flowWith('        rule: { field: os, op: like, value: iOS }\n'), 14, 'campaigns.main.flows[0].rule.op'],
  ['rule_invalid', 'a list where one value belongs', flowWith('        rule: { field: os, op: is, value: [iOS] }\n'), 14, 'campaigns.main.flows[0].rule.value'],
  ['rule_invalid', 'an empty rule', flowWith('        rule: {}\n'), 14, 'campaigns.main.flows[0].rule'],
  ['rule_invalid', 'rules that nest too deep', flowWith(`        rule: ${'{ not: '.repeat(32)}{ os: iOS }${' }'.repeat(32)}\n`), 14, `campaigns.main.flows[0].rule${'.not'.repeat(32)}`],
  ['rule_invalid', 'more conditions than a click can wait for', flowWith(`        rule: { any: [${'{ os: iOS },'.repeat(1_001)}] }\n`), 14, 'campaigns.main.flows[0].rule.any[1000]'],
  ['rule_invalid', 'a text that is no rule', flowWith('        rule: country in (DE and not bot\n'), 14, 'campaigns.main.flows[0].rule'],
  ['rule_invalid', 'a condition with a key too many', flowWith('        rule: { field: os, op: is, value: iOS, values: [x] }\n'), 14, 'campaigns.main.flows[0].rule.values'],
  ['rule_invalid', 'a field that no click knows', flowWith('        rule: { any: [{ os: iOS }, payout between 1 and 2] }\n'), 14, 'campaigns.main.flows[0].rule.any[1]'],
  ['weights_all_zero', 'landings that nobody sees', offerWith('    landings: [{ landing_id: a, url: https://a.example/, weight: 0 }]\n').replace('    landing_url: https://acme.example/\n', ''), 7, 'offers.lamp.landings'],
  ['weight_missing', 'a flow without a weight beside one that has one', campaignWith('    flows:\n      - { flow_id: f, offer_id: lamp, weight: 5 }\n      - { flow_id: g, offer_id: lamp }\n'), 13, 'campaigns.main.flows[1]'],
  ['price_unused', 'a price that the model never uses', offerWith('    model: cpl\n', '[{ type: lead, payout: 1 }, { type: sale, payout: 1 }]'), 7, 'offers.lamp.prices[1]'],
  ['price_unused', 'a share in a model without shares', offerWith('', '[{ type: sale, payout_share: 5% }]'), 7, 'offers.lamp.prices[0]'],
  ['price_missing', 'a model without a price', offerWith('    model: revshare\n', '[{ type: sale, payout: 1 }]'), 7, 'offers.lamp.prices'],
  ['combination_invalid', 'two ways to name landings', offerWith('    landings: [{ landing_id: a, url: https://a.example/ }]\n'), 6, 'offers.lamp.landing_url'],
  ['combination_invalid', 'two ways to name flows', campaignWith('    offer_id: lamp\n    flows: [{ flow_id: f, offer_id: lamp }]\n'), 11, 'campaigns.main.offer_id'],
  ['combination_invalid', 'a body without POST', endpointWith('    body: "{}"\n'), 4, 'endpoints.crm.body'],
  ['combination_invalid', 'offers beside what happens instead of them', flowWith('        to_url: https://a.example/\n'), 13, 'campaigns.main.flows[0].offer_id'],
  ['combination_invalid', 'a redirect of a flow that leads to another campaign', flowTo('to_campaign: second, redirect: meta') + `  second: { advertiser_id: acme, offer_id: lamp }\n`, 11, 'campaigns.main.flows[0].redirect'],
  ['combination_invalid', 'a referrer policy of a flow that leads to another campaign', flowTo('to_campaign: second, referrer_policy: origin') + `  second: { advertiser_id: acme, offer_id: lamp }\n`, 11, 'campaigns.main.flows[0].referrer_policy'],
  ['combination_invalid', 'a redirect beside a page', flowTo('show_html: "<p>Hello</p>", redirect: meta'), 11, 'campaigns.main.flows[0].redirect'],
  ['combination_invalid', 'a redirect beside the page “not found”', flowTo('show_not_found: true, redirect: "302"'), 11, 'campaigns.main.flows[0].redirect'],
  ['combination_invalid', 'a referrer policy of the page “not found”', flowTo('show_not_found: true, referrer_policy: origin'), 11, 'campaigns.main.flows[0].referrer_policy'],
  ['combination_invalid', 'a referrer of a flow that double_meta takes away', flowTo('offer_id: lamp, redirect: double_meta, referrer_policy: origin'), 11, 'campaigns.main.flows[0].referrer_policy'],
  ['combination_invalid', 'a referrer of an offer that double_meta takes away', offerWith('    redirect: double_meta\n    referrer_policy: unsafe-url\n'), 9, 'offers.lamp.referrer_policy'],
  ['combination_invalid', 'a flow that leads back to its own campaign', flowTo('to_campaign: main'), 11, 'campaigns.main.flows[0].to_campaign'],
  ['combination_invalid', 'a country fallback with two targets', offerWith('    rule: { country: DE }\n    country_fallbacks: { FR: { offer_id: lamp, url: https://a.example/ } }\n'), 9, 'offers.lamp.country_fallbacks.FR'],
  ['key_missing', 'country fallbacks without a rule', offerWith('    country_fallbacks: { FR: { url: https://a.example/ } }\n'), 8, 'offers.lamp.country_fallbacks'],
  ['country_invalid', 'a country in words', offerWith('    rule: { country: DE }\n    country_fallbacks: { France: { url: https://a.example/ } }\n'), 9, 'offers.lamp.country_fallbacks.France'],
  ['country_invalid', 'a code that no country has', offerWith('    rule: { country: DE }\n    country_fallbacks: { UK: { url: https://a.example/ } }\n'), 9, 'offers.lamp.country_fallbacks.UK'],
  ['value_out_of_range', 'half a click in a cap', offerWith('    caps: [{ cap_id: daily, metric: clicks, period: day, limit: 10.5 }]\n'), 8, 'offers.lamp.caps[0].limit'],
  ['rule_invalid', 'a cap for new visitors', offerWith('    caps: [{ cap_id: a, metric: clicks, period: day, limit: 1, rule: { unique: offer } }]\n'), 8, 'offers.lamp.caps[0].rule'],
  ['rule_invalid', 'a flow that asks for the offer it will draw', flowWith('        rule: offer_id is lamp\n'), 14, 'campaigns.main.flows[0].rule'],
  ['rule_invalid', 'a flow that asks for the flow it may become', flowWith('        rule: { not: { flow_id: f } }\n'), 14, 'campaigns.main.flows[0].rule'],
  ['rule_invalid', 'a flow that asks for the landing it will draw', flowWith('        rule: { country: DE, landing_id: [a, b] }\n'), 14, 'campaigns.main.flows[0].rule'],
  ['rule_invalid', 'a flow for visitors who are new to an offer not drawn yet', flowWith('        rule: unique in (campaign, offer)\n'), 14, 'campaigns.main.flows[0].rule'],
  ['rule_invalid', 'an offer that asks for the landing it will draw', offerWith('    rule: landing_id is a\n'), 8, 'offers.lamp.rule'],
  ['rule_invalid', 'a block of a landing', offerWith('    block: { landing_id: a }\n'), 8, 'offers.lamp.block'],
  ['rule_invalid', 'a rule of fraud that asks for the landing of a click', 'fraud:\n  own_rules:\n    - { name: a, score: 1, rule: landing_id is a }\n', 3, 'fraud.own_rules[0].rule'],
  ['rule_invalid', 'a cap for a parameter that is not kept', offerWith('    caps: [{ cap_id: a, metric: clicks, period: day, limit: 1, rule: query.place is top }]\n'), 8, 'offers.lamp.caps[0].rule'],
  ['id_duplicate', 'the same cap twice', offerWith('    caps: [{ cap_id: a, metric: clicks, period: day, limit: 1 }, { cap_id: a, metric: clicks, period: day, limit: 1 }]\n'), 8, 'offers.lamp.caps[1].cap_id'],
  ['id_duplicate', 'a dimension of a cap twice', offerWith('    caps: [{ cap_id: a, metric: clicks, period: day, limit: 1, per: [sub1, sub1] }]\n'), 8, 'offers.lamp.caps[0].per'],
  ['combination_invalid', 'a hold of a cap on clicks', offerWith('    caps: [{ cap_id: a, metric: clicks, period: day, limit: 1, hold_minutes: 5 }]\n'), 8, 'offers.lamp.caps[0].hold_minutes'],
  ['reference_foreign', 'an offer in its own place', offerWith('    cap_fallbacks: [lamp]\n'), 8, 'offers.lamp.cap_fallbacks'],
  ['reference_unknown', 'an affiliate of an offer that is nowhere', offerWith('    affiliates: { anna: { status: approved } }\n'), 8, 'offers.lamp.affiliates.anna'],
  ['reference_foreign', 'an affiliate of an offer that is no member', `${offerWith('    affiliates: { anna: { status: approved } }\n')}affiliates:\n  anna: {}\n`, 8, 'offers.lamp.affiliates.anna'],
  ['reference_foreign', 'a flow to the campaign of another advertiser', `${offer.replace('acme: {}', 'acme: {}\n  other: {}')}campaigns:\n  main: { advertiser_id: acme, offer_id: lamp }\n  second:\n    advertiser_id: other\n    flows: [{ flow_id: f, to_campaign: main }]\n`, 13, 'campaigns.second.flows[0].to_campaign'],
  ['rule_invalid', 'an endpoint that asks for what no conversion knows', endpointWith('    rule: { unique: offer }\n'), 4, 'endpoints.crm.rule.unique'],
  ['template_too_long', 'a body without end', endpointWith(`    method: POST\n    body: "${'x'.repeat(17_000)}"\n`), 5, 'endpoints.crm.body'],
] // prettier-ignore

function billionLaughs(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let level = 1; level <= 9; level++) lines.push(`a${level}: &a${level} [${`*a${level - 1}, `.repeat(10)}]`)
  return `${lines.join('\n')}\nz: *a9`
}

const show = (issues: readonly Issue[]): string => JSON.stringify(issues.slice(0, 5), null, 1)

for (const [code, what, yaml, line, path] of cases)
  test(`finds ${what} (${code}) at its line`, () => {
    const issues = checkConfiguration(yaml)
    const found = issues.find((issue) => issue.code === code && (path === '' || issue.path === path))
    assert.ok(found, show(issues))
    if (code !== 'file_too_large') assert.equal(found.line, line, show(issues))
    const others = issues.filter((issue) => issue.code !== code && issue.code !== 'key_unknown')
    assert.deepEqual(others.filter(() => code !== 'yaml_invalid' && code !== 'file_too_large'), []) // prettier-ignore
  })

test('has a case for every code that needs no database', () => {
  const needDatabase = ['object_in_use', 'object_has_history']
  const missing = Object.keys(issueCodes).filter(
    (code) => !needDatabase.includes(code) && !cases.some(([known]) => known === code),
  )
  assert.deepEqual(missing, [])
})

test('finds all mistakes of a file in one pass, in the order of the file', () => {
  const issues = checkConfiguration(`
advertisers:
  Acme: { currency: usd }
  other: { timezone: Mars/Base, colour: red }
offers:
  lamp: { advertiser_id: nobody, landing_url: nowhere, prices: [{ type: gift }] }
campaigns:
  main: { advertiser_id: other, flows: [{ flow_id: f, offer_id: lamp, rule: { os: "" } }] }
`)
  assert.deepEqual(
    issues.map(({ line, code }) => `${line} ${code}`),
    ['3 id_invalid', '3 currency_unknown', '4 timezone_unknown', '4 key_unknown', '6 reference_unknown', '6 url_invalid', '6 value_not_allowed', '8 rule_invalid'],
  ) // prettier-ignore
})

test('says what was probably meant', () => {
  const hintOf = (yaml: string): string | undefined => checkConfiguration(yaml)[0]?.hint
  assert.equal(hintOf('advertizers: {}\n'), 'Did you mean "advertisers"?')
  assert.equal(hintOf(campaignWith('    offer_id: lmap\n')), 'Did you mean "lamp"?')
  assert.equal(hintOf('advertisers:\n  a: { timezone: europe/berlin }\n'), 'Did you mean "Europe/Berlin"?')
  assert.equal(hintOf('advertisers:\n  a: { currency: usd }\n'), 'Write "USD".')
  assert.equal(hintOf('advertisers:\n  My Shop: {}\n'), 'Write "my-shop".')
  assert.equal(hintOf(endpointWith('').replace('click_id', 'clickk_id')), 'Did you mean "{click_id}"?')
  assert.equal(hintOf(endpointWith('    secrets: { token: a }\n').replace('{click_id}', '{secret.tokn}')), 'Did you mean "{secret.token}"?') // prettier-ignore
  assert.equal(hintOf(offer.replace('example/', 'example/?{clikid}')), 'Did you mean "{clickid}"?')
  assert.equal(hintOf(endpointWith('    headers: { X-Id: "{clickk_id}" }\n')), 'Did you mean "{click_id}"?')
  assert.equal(hintOf('endpoints:\n  crm:\n    template: keitro\n'), 'Did you mean "keitaro"?')
})

test('takes the minimal example, which has 15 lines at most and stands in the documentation', () => {
  assert.ok(readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8').includes(minimal.trim()))
  assert.deepEqual(checkConfiguration(minimal), [])
  assert.ok(minimal.trim().split('\n').length <= 15)
})

test('takes an empty file, comments, nulls for defaults and aliases', () => {
  assert.deepEqual(checkConfiguration(''), [])
  assert.deepEqual(checkConfiguration('# nothing\n'), [])
  assert.deepEqual(checkConfiguration('advertisers: ~\noffers:\nlinks: null\n'), [])
  assert.deepEqual(checkConfiguration('advertisers:\n  a: &x { name: Both, timezone: ~ }\n  b: *x\n'), [])
})

test('never throws, whatever the file is', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      checkConfiguration(text)
    }),
    { numRuns: 300, seed: 5 },
  )
  const piece = fc.constantFrom(
    'offers',
    'advertisers',
    'acme',
    ':',
    ' ',
    '\n',
    '  ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '&a',
    '*a',
    '"',
    "'",
    '|',
    '<<',
    '?',
    '#',
    '!!int',
    '12.50',
    '~',
    '__proto__',
    'constructor',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      checkConfiguration(pieces.join(''))
    }),
    { numRuns: 1_000, seed: 6 },
  )
})
