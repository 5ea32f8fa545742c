import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { needsSharedData, readCrawlers, readUserAgentCases, type UserAgentCase } from '../shared-data.ts'
import { isBotUserAgent } from './bots.ts'
import { loadUserAgentRules, type UserAgentRules } from './load-rules.ts'
import { parseUserAgent } from './parse-user-agent.ts'

/** A case is right where the family is the same text, and the version where its parts are the same up to the first one that
 * is missing. No names are mapped: reports use those of uap-core. Families "Other" stand for none.
 */
type Share = { readonly families: number; readonly versions: number }

function measure(cases: readonly UserAgentCase[], kind: 'browser' | 'system', rules?: UserAgentRules): Share {
  let families = 0
  let versions = 0
  for (const one of cases) {
    const product = parseUserAgent(one.user_agent_string, rules)[kind]
    if ((product?.family ?? 'Other') !== one.family) continue
    families += 1
    if ((product?.version ?? []).join('.') === versionOf(one)) versions += 1
  }
  return { families: families / cases.length, versions: versions / cases.length }
}

function versionOf({ major, minor, patch }: UserAgentCase): string {
  const parts = [major, minor, patch]
  const missing = parts.findIndex((part) => !part)
  return parts.slice(0, missing < 0 ? parts.length : missing).join('.')
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`

function tell(t: TestContext, name: string, ours: Share, released: Share): void {
  t.diagnostic(`${name}: families ${percent(ours.families)}, with version ${percent(ours.versions)}`)
  t.diagnostic(`${name}, released rules alone: ${percent(released.families)}, ${percent(released.versions)}`)
}

describe('share of known user agents that come out right', needsSharedData, () => {
  const released = needsSharedData.skip === undefined ? loadUserAgentRules({ withoutOurs: true }) : undefined

  test('browsers.yaml: all families and versions', (t) => {
    const cases = readUserAgentCases('browsers')
    const share = measure(cases, 'browser')
    tell(t, `browsers.yaml (${cases.length})`, share, measure(cases, 'browser', released))
    assert.ok(share.families >= 0.995 && share.versions >= 0.99)
  })

  test('operating-systems.yaml: all families and versions', (t) => {
    const cases = readUserAgentCases('operating-systems')
    const share = measure(cases, 'system')
    tell(t, `operating-systems.yaml (${cases.length})`, share, measure(cases, 'system', released))
    assert.ok(share.families >= 0.995 && share.versions >= 0.99)
  })

  test('crawlers.json: every crawler but five user agents of people', (t) => {
    const crawlers = readCrawlers()
    const missed = crawlers.filter((userAgent) => !isBotUserAgent(userAgent))
    t.diagnostic(`crawlers.json (${crawlers.length}): bots ${percent(1 - missed.length / crawlers.length)}`)
    // In-app browsers of Instagram and Facebook, two editors and a site-specific browser: the list takes single agents in
    // disguise for patterns (one is the build number of Android 15), and calling these bots would discard paid visitors.
    const people = ['IABMV/1', 'MetaIAB Facebook', ' Code/1.', ' Trae/1.', ' Fluid/']
    assert.deepEqual(missed.filter((userAgent) => !people.some((word) => userAgent.includes(word))), []) // prettier-ignore
    assert.equal(missed.length, people.length)
  })
})
