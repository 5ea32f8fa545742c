/** The commands that ask of routing and of versions, each as a process of its own against one running installation. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { findFreePort } from '#platform/ports'
import { withTempDir } from '#test-kit'
import {
  eventually,
  installationEnvironment,
  runWaypost,
  startInstallation,
  type CommandResult,
  type Installation,
} from './installation.ts'

const LAMP = `
advertisers:
  acme: { domains: [shop.example.com] }
offers:
  lamp:
    advertiser_id: acme
    prices: [{ type: lead, payout: '1.00', revenue: '2.00' }]
    landing_url: https://shop.example.com/lamp?clickid={clickid}
    postback: { secrets: [secret-of-acme] }
lists: { office: [192.0.2.0/24] }
links:
  go: { offer_id: lamp }
`
const TORCH = `
offers:
  torch:
    advertiser_id: acme
    prices: [{ type: lead, payout: '3.00', revenue: '5.00' }]
    landing_url: https://shop.example.com/torch
links:
  go: { offer_id: torch }
`

const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1'

type World = {
  readonly waypost: (...args: readonly string[]) => Promise<CommandResult>
  readonly env: NodeJS.ProcessEnv
  /** Path of a file with this text. */
  readonly file: (name: string, text: string) => string
  /** Id of a click on the link, once it can be looked up. */
  readonly clickId: string
  readonly installation: Installation
}

/** Version 2 has the lamp behind the link, version 3 the torch; there is a click of version 2. */
async function startWorld(t: TestContext): Promise<World> {
  const directory = withTempDir(t)
  const dataDir = join(directory, 'data')
  const [edgePort, apiPort] = [await findFreePort(), await findFreePort()]
  const installation = await startInstallation({ dataDir, edgePort, apiPort })
  t.after(() => installation.stop('SIGKILL'))
  const file = (name: string, text: string): string => {
    const path = join(directory, name)
    writeFileSync(path, text)
    return path
  }
  const { waypost, edgeUrl, api } = installation
  assert.equal((await waypost('apply', file('lamp.yaml', LAMP))).code, 0)
  const click = async (): Promise<string | null> => {
    const response = await fetch(`${edgeUrl}/go?sub1=zone-1`, { redirect: 'manual', headers: { 'user-agent': IPHONE } })
    await response.arrayBuffer()
    return response.headers.get('location')
  }
  const location = await eventually(click, (target) => target !== null, 10_000)
  const clickId = new URL(location!).searchParams.get('clickid')!
  await eventually(
    () => api<{ is_in_reports: boolean }>(`/v1/clicks/${clickId}`).catch(() => undefined),
    (page) => page?.is_in_reports === true,
    20_000,
  )
  assert.equal((await waypost('apply', file('torch.yaml', TORCH))).code, 0)
  return { waypost, env: installationEnvironment({ dataDir, edgePort, apiPort }), file, clickId, installation }
}

const succeeded = ({ code, stdout, stderr }: CommandResult): string => {
  assert.deepEqual([code, stderr], [0, ''], stdout)
  return stdout
}

/** Exit code 1, nothing on standard output, and a message; without the usage, unless the call itself was wrong. */
const failed = async (result: Promise<CommandResult>, message: RegExp, exitCode: 1 | 2 = 1): Promise<void> => {
  const { code, stdout, stderr } = await result
  assert.deepEqual([code, stdout], [exitCode, ''], stderr)
  assert.match(stderr, message)
  assert.match(stderr, /^waypost: /)
  assert.ok(!stderr.includes('Usage:'), stderr)
  assert.ok(!stderr.includes('    at '), `no stack: ${stderr}`)
}

// Each line of it starts a program, a second on a machine that has nothing else to do.
test('the commands that ask of routing and of versions', { timeout: 400_000 }, async (t) => {
  const { waypost, env, file, clickId, installation } = await startWorld(t)

  await t.test('explain prints the decision in sentences, the target and the version', async () => {
    const visitor = ['--ip', '192.0.2.1', '--country', 'DE', '--user-agent', IPHONE, '--language', 'de-AT']
    const text = succeeded(await waypost('explain', 'https://go.example/go?sub1=x', ...visitor))
    assert.match(text, /^The link “go” was opened\.\n/)
    assert.match(text, /^redirected: https:\/\/shop\.example\.com\/torch\?clickid=\S+&sub1=x \(302\)$/m)
    assert.match(text, /^Nothing was recorded, counted or reserved\.$/m)
    assert.match(text, /Configuration version 3\.\n$/)
  })

  await t.test('explain asks an earlier version, and a file that is not applied', async () => {
    const earlier = succeeded(await waypost('explain', '/go', '--version', '2'))
    assert.match(earlier, /^redirected: https:\/\/shop\.example\.com\/lamp\?clickid=/m)
    assert.match(earlier, /Configuration version 2\.\n$/)
    const gone = file('gone.yaml', TORCH.replace('torch:', 'torch:\n    status: paused'))
    const unsaved = succeeded(await waypost('explain', '/go', '--file', gone))
    assert.match(unsaved, /^not_found: the plain page “not found” \(302\)$/m)
    assert.match(unsaved, /Configuration version 4\.\n$/)
    assert.match(succeeded(await waypost('config', 'history', '--limit', '1')), /^3 {2}/)
  })

  await t.test('explain says what is wrong with what it is asked', async () => {
    const broken = file('broken.yaml', 'links:\n  go: { offer_id: nothing }\n')
    const elsewhere = { ...env, WAYPOST_API_PORT: String(await findFreePort()) }
    const stranger = { ...env, WAYPOST_API_KEY: 'wp_owner_key_of_nobody_0123456789_0123456789' }
    await Promise.all([
      failed(waypost('explain'), /explain takes one URL\./, 2),
      failed(waypost('explain', '/go', '--luck', '1'), /--luck/, 2),
      failed(waypost('explain', '/go', '--version', 'two'), /--version two: must be a whole number from 1/, 2),
      failed(waypost('explain', '/go', '--version', '99'), /There is no such version\. Correct --version\./, 2),
      failed(waypost('explain', '/go', '--country', 'Germany'), /Correct --country\./, 2),
      failed(waypost('explain', '/go', '--at', 'noon'), /Correct --at\./, 2),
      failed(waypost('explain', '/go', '--file', 'nowhere.yaml'), /nowhere\.yaml/),
      failed(waypost('explain', '/go', '--file', broken), /broken\.yaml.*2.*links\.go\.offer_id/s),
      failed(runWaypost(['explain', '/go'], elsewhere), /The API does not answer at .*WAYPOST_API_PORT/),
      failed(runWaypost(['explain', '/go'], stranger), /Set WAYPOST_API_KEY to a key of the owner/),
    ])
  })

  await t.test('test-rule prints which conditions hold for a made-up click and for a recorded one', async () => {
    const made = ['/go', '--ip', '192.0.2.7', '--country', 'GB']
    const text = succeeded(await waypost('test-rule', 'country in (US, GB) and not ip in @office', ...made))
    assert.deepEqual(text.split('\n').slice(0, 4), [
      'does not   rule  all',
      'holds      rule.all[0]  country in (US, GB)  (seen: "GB")',
      'does not   rule.all[1]  not',
      'holds      rule.all[1].not  ip in @office  (seen: "192.0.2.7")',
    ])
    assert.match(text, /The rule does not hold\.\n$/)
    const recorded = succeeded(await waypost('test-rule', 'sub1 is zone-1 and os is iOS', '--click', clickId))
    assert.match(recorded, /The rule holds\.\n$/)
  })

  await t.test('test-rule tells a mistake with its place and what was expected', async () => {
    await Promise.all([
      failed(waypost('test-rule', 'contry is DE'), /\n {2}rule\.field, character 1: .*Did you mean "country"\?/, 2),
      failed(waypost('test-rule', 'country is DE', '--click', 'x'), /There is no such click\. Correct --click\./, 2),
      failed(waypost('test-rule'), /takes a rule in quotes/, 2),
      failed(waypost('test-rule', 'bot', '--click', clickId, '--country', 'DE'), /takes --click, or a URL/, 2),
    ])
  })

  await t.test('simulate prints what would have gone elsewhere, by a file and by a version', async () => {
    const lamp = file('only-lamp.yaml', 'links: { go: { offer_id: lamp } }')
    const same = succeeded(await waypost('simulate', lamp, '--since', '1h'))
    assert.match(same, /^\d+ clicks decided again: 0 would have gone elsewhere\.\n/)
    const moved = succeeded(await waypost('simulate', '--version', '3', '--since', '1h', '--clicks', '1000'))
    const [, count] = /^(\d+) clicks decided again: \1 would have gone elsewhere\.\n/.exec(moved) ?? []
    assert.ok(Number(count) >= 1, moved)
    assert.match(moved, new RegExp(`^  ${count}  lamp / lamp → torch / torch$`, 'm'))
    assert.match(moved, /^What clicks do not tell:$/m)
  })

  await t.test('live prints what happened a moment ago, and ends when it is told to', async () => {
    const text = succeeded(await waypost('live', '--counts', 'minute', '--of', 'clicks', '--seconds', '3'))
    const [hello, counts] = text.split('\n')
    assert.match(hello!, /^hello \{"counts":\["minute"\],"of":\["clicks"\]/)
    assert.match(counts!, /^counts \{"window":"minute",.*"clicks":1/)
    await failed(waypost('live', '--counts', 'hour'), /There is no "hour".*Correct --counts/, 2)
  })

  await t.test('saved-reports saves, runs and schedules a report', async () => {
    const saved = succeeded(await waypost('saved-reports', 'save', 'By link', '--query', 'group_by=sub1&metrics=clicks', '--range', 'today')) // prettier-ignore
    const [, id = ''] = /^Saved as (\S+)\n$/.exec(saved) ?? []
    assert.match(succeeded(await waypost('saved-reports', 'run', id)), /"sub1": "zone-1",\s+"clicks": 1/)
    const made = succeeded(await waypost('saved-reports', 'schedule', id, '--cron', '0 6 * * *', '--timezone', 'Europe/Berlin')) // prettier-ignore
    const [, scheduleId = ''] = /^Schedule (\S+) runs next at \S+\n$/.exec(made) ?? []
    assert.match(succeeded(await waypost('saved-reports', 'list')), new RegExp(`^${id}  -  By link  today\n$`))
    assert.match(succeeded(await waypost('saved-reports', 'pause', scheduleId)), /paused {2}-\n$/)
    assert.match(
      succeeded(await waypost('saved-reports', 'schedules')),
      /0 6 \* \* \* {2}Europe\/Berlin {2}csv {2}paused/,
    )
    assert.equal(succeeded(await waypost('saved-reports', 'runs', scheduleId)), '')
    await failed(waypost('saved-reports', 'save', 'Wrong', '--query', 'metrics=nothing'), /no metric "nothing"/, 2)
    await failed(waypost('saved-reports', 'forget', id), /saved-reports knows list/, 2)
  })

  await t.test('conversions correct sets what one conversion is worth, and the books agree', async () => {
    const { edgeUrl, api } = installation
    const sent = await fetch(`${edgeUrl}/postback?clickid=${clickId}&status=lead&txid=1&secret=secret-of-acme`)
    assert.equal(sent.status, 200, await sent.text())
    const { items } = await eventually(
      () => api<{ items: readonly { conversion_id: string }[] }>('/v1/conversions'),
      (page) => page.items.length === 1,
      20_000,
    )
    const id = items[0]!.conversion_id
    const correct = ['conversions', 'correct', id, '--reason', 'the rate of May'] as const
    assert.equal(
      succeeded(await waypost(...correct, '--revenue', '2.5')),
      `The conversion ${id} has payout 0.00, revenue 2.50 USD, as of its revision 2.\n`,
    )
    await Promise.all([
      failed(waypost(...correct, '--revenue', '2.50'), /It has these amounts already/),
      failed(waypost(...correct, '--payout', 'much'), /Correct --payout\./, 2),
      failed(waypost(...correct), /takes --payout, --revenue or both/, 2),
      failed(waypost('conversions', 'list'), /knows one verb/, 2),
    ])
    const reconciled = await waypost('reconcile')
    assert.equal(reconciled.code, 0, reconciled.stdout)
  })

  await t.test('simulate says what is wrong with what it is asked', async () => {
    await Promise.all([
      failed(waypost('simulate', '--since', '1h'), /takes one file, or --version\./, 2),
      failed(waypost('simulate', '--version', '2'), /--since takes a span such as 7d/, 2),
      failed(waypost('simulate', '--version', '2', '--since', 'soon'), /--since takes a span/, 2),
      failed(waypost('simulate', '--version', '2', '--since', '1h', '--clicks', '0'), /--clicks 0: must be/, 2),
      failed(waypost('simulate', '--version', '2', '--since', '32d'), /longer than 31 days\. Correct --since\./, 2),
      failed(
        waypost('simulate', '--version', '99', '--since', '1h'),
        /There is no such version\. Correct --version\./,
        2,
      ),
      failed(waypost('simulate', 'nowhere.yaml', '--since', '1h'), /nowhere\.yaml/),
    ])
  })

  await t.test('config history, show and diff tell the versions', async () => {
    const history = succeeded(await waypost('config', 'history'))
      .trimEnd()
      .split('\n')
    assert.deepEqual(history.map((line) => line.split(' ')[0]), ['3', '2', '1']) // prettier-ignore
    assert.match(history[0]!, /^3 {2}\d{4}-\d\d-\d\dT\S+Z {2}.+ {2}\+1 ~1 -0: offer torch, link go$/)
    assert.equal(
      succeeded(await waypost('config', 'history', '--limit', '1'))
        .trimEnd()
        .split('\n').length,
      1,
    )
    const shown = JSON.parse(succeeded(await waypost('config', 'show', '2'))) as { version: number; links: object[] }
    assert.deepEqual([shown.version, shown.links.length], [2, 1])
    assert.ok(!JSON.stringify(shown).includes('secret-of-acme'), 'secrets are masked')
    const newest = JSON.parse(succeeded(await waypost('config', 'show'))) as { version: number }
    assert.equal(newest.version, 3)
    const diff = succeeded(await waypost('config', 'diff', '2', '3'))
    assert.match(diff, /offer torch/)
    assert.match(diff, /link go/)
  })

  await t.test('config restore changes nothing without --yes, and makes a new version with it', async () => {
    const planned = succeeded(await waypost('config', 'restore', '2'))
    assert.match(planned, /Dry run: nothing was restored\. It would become version 4; --yes does it\.\n$/)
    assert.match(succeeded(await waypost('config', 'history', '--limit', '1')), /^3 {2}/)
    assert.match(succeeded(await waypost('config', 'restore', '2', '--yes')), /Restored version 2 as version 4\.\n$/)
    assert.match(
      succeeded(await waypost('config', 'history', '--limit', '1')),
      /^4 .* restore by .*, version 2 again {2}/,
    )
    assert.match(succeeded(await waypost('explain', '/go')), /shop\.example\.com\/lamp/)
    assert.match(succeeded(await waypost('config', 'restore', '4', '--yes')), /Nothing to change/)
  })

  await t.test('config says what is wrong with what it is asked', async () => {
    const calls = [[], ['list'], ['show', '1', '2'], ['diff', '1'], ['restore']]
    await Promise.all([
      ...calls.map((args) => failed(waypost('config', ...args), /config knows history, show \[VERSION\], diff/, 2)),
      failed(waypost('config', 'show', '0'), /VERSION 0: must be a whole number from 1/, 2),
      failed(waypost('config', 'history', '--limit', 'all'), /--limit all: must be a whole number/, 2),
      failed(waypost('config', 'show', '99'), /^waypost: There is no such version\.$/m),
      failed(waypost('config', 'diff', '1', '99'), /^waypost: There is no such version\.$/m),
      failed(waypost('config', 'restore', '99', '--yes'), /^waypost: There is no version 99\.$/m),
    ])
  })

  await t.test('deliveries, why-not, endpoints and replay print what is known of postbacks', async () => {
    const endpoint =
      'endpoints: { crm: { advertiser_id: acme, url: "https://crm.example/?c={click_id}", status: paused } }'
    await waypost('apply', file('crm.yaml', endpoint))
    assert.match(succeeded(await waypost('endpoints', 'show')), /^ENDPOINT.*\ncrm +endpoint_paused +0 +0 +0 +- +0/)
    assert.match(succeeded(await waypost('endpoints', 'show', 'crm')), /"last_hour"/)
    assert.match(succeeded(await waypost('deliveries', '--endpoint', 'crm', '--since', '1d')), /^DELIVERY/)
    assert.match(succeeded(await waypost('why-not', '--click', clickId)), /^WHEN/)
    const counted = succeeded(await waypost('replay', '--since', '1d', '--endpoint', 'crm', '--state', 'gave_up'))
    assert.match(counted, /Would be sent once more: 0\.\nDry run/)
    const begun = succeeded(await waypost('replay', '--since', '1d', '--endpoint', 'crm', '--yes'))
    const [id] = /[0-9a-f-]{36}/.exec(begun)!
    assert.match(succeeded(await waypost('replay', 'list')), new RegExp(id))
    assert.match(succeeded(await waypost('replay', 'cancel', id)), /is (done|cancelled), with 0 sent/)
    await Promise.all([
      failed(waypost('replay'), /--since takes a span/, 2),
      failed(waypost('deliveries', '--state', 'lost'), /Correct --state\./, 2),
      failed(waypost('endpoints', 'test'), /endpoints knows show/, 2),
      failed(waypost('endpoints', 'test', 'crm'), /endpoint_paused/),
    ])
  })
})
