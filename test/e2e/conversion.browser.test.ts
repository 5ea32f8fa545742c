import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { chromium, type Browser } from 'playwright-core'
import { startDemoSites } from '#demo'
import { withTempDir } from '#test-kit'
import { eventually, startInstallation, type Installation } from './installation.ts'
import { startWebhookReceiver, type ReceivedWebhook, type WebhookReceiver } from './webhook-receiver.ts'

const CHROMIUM = '/usr/bin/chromium'
const SECRET = `whsec_${Buffer.from('a secret of the browser test, 32').toString('base64')}`

/** The main job on real input: click, landing, registration, deposit; priced, booked, counted, told. */
describe('a visitor in a real browser', { skip: existsSync(CHROMIUM) ? false : `${CHROMIUM} is missing` }, () => {
  test('follows a smart link, registers and deposits: priced, booked, counted, and told to the partner', async (t) => {
    const { installation, receiver } = await startWorld(t)
    const page = await openPage(t)
    await page.goto(`${installation.edgeUrl}/arcade?sub1=from-the-browser&external_id=ext-42&utm_source=e2e`)
    const landing = new URL(page.url())
    const clickId = landing.searchParams.get('clickid')
    assert.ok(clickId !== null && landing.pathname === '/landing/lumen-arcade', page.url())
    await page.getByRole('button', { name: 'Get started' }).click()
    await page.getByRole('button', { name: 'Create account' }).click()
    await page.getByRole('button', { name: '50 USD' }).click()
    await page.getByText('Thank you!').waitFor()

    const lead = await receiver.waitFor((message) => conversionOf(message)['status'] === 'lead', 20_000)
    const sale = await receiver.waitFor((message) => conversionOf(message)['status'] === 'sale', 20_000)
    checkPostback(lead, { click_id: clickId, payout: '2.5', goal: 'reg' })
    checkPostback(sale, { click_id: clickId, payout: '40', goal: 'deposit' })
    assert.notEqual(lead.webhookId, sale.webhookId)

    await checkReport(installation)
    await checkClick(installation, clickId)
  })
})

async function startWorld(t: TestContext): Promise<{ installation: Installation; receiver: WebhookReceiver }> {
  const dataDir = withTempDir(t)
  const installation = await startInstallation({ dataDir: join(dataDir, 'data') })
  t.after(() => installation.stop())
  const receiver = await startWebhookReceiver({ secret: SECRET })
  t.after(() => receiver.stop())
  const sites = await startDemoSites({ port: 0, edgeUrl: installation.edgeUrl, verifySignature: () => false })
  t.after(() => sites.stop())
  const file = join(dataDir, 'waypost.yaml')
  writeFileSync(file, configuration(sites.url, receiver.url))
  const applied = await installation.waypost('apply', file)
  assert.equal(applied.code, 0, applied.stdout + applied.stderr)
  const robots = { headers: { 'user-agent': 'curl/8.14.1' } }
  await eventually(
    async () =>
      (await fetch(`${installation.edgeUrl}/arcade`, { redirect: 'manual', method: 'HEAD', ...robots })).status,
    (status) => status === 302,
    10_000,
  )
  return { installation, receiver }
}

const configuration = (sitesUrl: string, receiverUrl: string): string => `
advertisers:
  lumen: { name: Lumen, currency: USD, domains: [127.0.0.1] }
affiliates:
  pat: { name: Pat, advertiser_ids: [lumen] }
offers:
  lumen-arcade:
    advertiser_id: lumen
    model: cpa
    hold_days: 7
    prices:
      - { type: lead, goal: reg, payout: '2.50', revenue: '4.00' }
      - { type: sale, goal: deposit, payout: '40.00', revenue: '65.00' }
    landing_url: '${sitesUrl}/landing/lumen-arcade?clickid={clickid}'
campaigns:
  spring: { advertiser_id: lumen, affiliate_id: pat, offer_id: lumen-arcade }
links:
  arcade: { campaign_id: spring }
endpoints:
  partner:
    affiliate_id: pat
    method: POST
    url: ${receiverUrl}/hook
    triggers: [lead, sale]
    secret: ${SECRET}
    allow_private_address: true
`

async function openPage(t: TestContext) {
  const browser: Browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      ...['--no-sandbox', '--headless', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
    ],
  })
  t.after(() => browser.close())
  return browser.newPage({ locale: 'de-DE', timezoneId: 'Europe/Berlin' })
}

const conversionOf = (message: ReceivedWebhook): Readonly<Record<string, string>> =>
  (JSON.parse(message.body) as { data: Record<string, string> }).data

function checkPostback(message: ReceivedWebhook, expected: Readonly<Record<string, string>>): void {
  assert.equal(message.isSignatureRight, true, 'the signature is that of the specification')
  const { click_id, payout, goal, currency, sub1, external_id, offer_id, affiliate_id } = conversionOf(message)
  assert.deepEqual(
    { click_id, payout, goal, currency, sub1, external_id, offer_id, affiliate_id },
    {
      ...expected,
      currency: 'USD',
      sub1: 'from-the-browser',
      external_id: 'ext-42',
      offer_id: 'lumen-arcade',
      affiliate_id: 'pat',
    },
  )
}

type Report = { readonly rows: readonly Readonly<Record<string, string | number>>[] }

async function checkReport(installation: Installation): Promise<void> {
  const query = '/v1/reports?group_by=offer_id&metrics=clicks,opens,lp_clicks,leads,sales,payout,revenue,profit'
  const { rows } = await eventually(
    () => installation.api<Report>(query),
    (report) => report.rows[0]?.['sales'] === 1 && report.rows[0]['clicks'] === 1,
    10_000,
  )
  assert.deepEqual(rows, [
    {
      offer_id: 'lumen-arcade',
      clicks: 1,
      opens: 1,
      lp_clicks: 1,
      leads: 1,
      sales: 1,
      payout: '42.50',
      revenue: '69.00',
      profit: '26.50',
    },
  ])
}

/** The page of one click must tell the whole story. Its exact shape is the API's own test. */
async function checkClick(installation: Installation, clickId: string): Promise<void> {
  const click = await installation.api<Record<string, unknown>>(`/v1/clicks/${clickId}`)
  const story = JSON.stringify(click)
  for (const word of ['from-the-browser', 'lumen-arcade', 'lp_click', 'deposit', '40.00', '2.50', 'delivered'])
    assert.ok(story.includes(word), `${word} is not in ${JSON.stringify(click, null, 2)}`)
}
