import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, test, type TestContext } from 'node:test'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { buildSnippet } from './build.ts'
import { servePage, TestEdge } from './test-edge.ts'

const CHROMIUM = '/usr/bin/chromium'
const CLICK = '0191d2f0-7c4a-7b3e-9a51-2b7f6f0c8d11'
const OTHER_CLICK = '0191d2f0-7c4a-7b3e-9a51-2b7f6f0c8d22'
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/

type Visit = { readonly edge: TestEdge; readonly context: BrowserContext; readonly page: Page; readonly site: string }

describe('the snippet in a real browser', { skip: existsSync(CHROMIUM) ? false : `${CHROMIUM} is missing` }, () => {
  let browser: Browser
  let script: string

  before(async () => {
    script = await buildSnippet()
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
    })
  })
  after(() => browser.close())

  /** A new visitor's browser, an edge and a landing page on another origin. */
  const visit = async (t: TestContext, body = '', head = ''): Promise<Visit> => {
    const edge = new TestEdge(() => script)
    const origin = await edge.start()
    const site = await servePage(() => `<!doctype html>${head}<body>${body}<script src="${origin}/t.js"></script>`)
    const context = await browser.newContext({ locale: 'tr-TR', timezoneId: 'Europe/Istanbul' })
    t.after(async () => {
      await context.close()
      edge.stop()
      site.stop()
    })
    return { edge, context, page: await context.newPage(), site: site.url }
  }

  /** Waits until the edge has answered for everything that the page sent. */
  const settled = (page: Page): Promise<unknown> => page.waitForFunction("localStorage.wp_q === '[]'")

  test('tells the edge of the opened page, with click, visitor and what the page knows', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/lp?clickid=${CLICK}&sub1=a&sub2=geo-TR|dev-mobile&flow_id=f1&other=x`)
    const [open] = await edge.waitFor('open')
    const { event_id, visitor_code, ts_client, screen, connection, ...rest } = open!
    assert.match(event_id, UUID)
    assert.match(String(visitor_code), UUID)
    assert.ok(Math.abs(Number(ts_client) - Date.now()) < 60_000)
    assert.match(String(screen), /^\d+x\d+$/)
    assert.match(String(connection), /^(slow-)?\dg$/)
    assert.deepEqual(rest, {
      type: 'open', clickid: CLICK, sub1: 'a', sub2: 'geo-TR|dev-mobile', flow_id: 'f1',
      lang: 'tr-TR', tz: 'Europe/Istanbul', device_type: 'desktop', site: '127.0.0.1',
    }) // prettier-ignore
  })

  test('sends as text/plain, so that no browser asks for permission first', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await edge.waitFor('open')
    assert.match(edge.posts[0]!.contentType!, /^text\/plain/)
  })

  test('leaves a sub2 out that the edge would refuse the event for', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}&sub2=banner`)
    const [open] = await edge.waitFor('open')
    assert.equal('sub2' in open!, false)
  })

  test('takes the click id by its other names and passes over one that is no UUID', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/?clickid={clickid}&cid=${CLICK}`)
    assert.equal((await edge.waitFor('open'))[0]!['clickid'], CLICK)
  })

  test('keeps click and visitor for the next page, sends one open per click and an lp_leave per page view', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    const [open] = await edge.waitFor('open')
    await page.goto(`${site}/second`)
    await page.evaluate("trackReg('user-1')")
    const [reg] = await edge.waitFor('reg')
    assert.equal(reg!['clickid'], CLICK)
    assert.equal(reg!['txid'], 'user-1')
    assert.equal(reg!['visitor_code'], open!['visitor_code'])
    await page.goto('about:blank')
    const leaves = await edge.waitFor('lp_leave', 2)
    assert.equal(new Set(leaves.map((leave) => leave.event_id)).size, 2)
    for (const leave of leaves) assert.ok(Number.isInteger(leave['time_on_page_ms']))
    assert.equal(new Set(edge.events.filter(({ type }) => type === 'open').map(({ event_id }) => event_id)).size, 1)
  })

  test('opens again for a new click', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await settled(page)
    await page.goto(`${site}/?clickid=${OTHER_CLICK}`)
    assert.equal((await edge.waitFor('open', 2))[1]!['clickid'], OTHER_CLICK)
  })

  test('remembers the click in the cookie where localStorage was cleared', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await settled(page)
    await page.evaluate('localStorage.clear()')
    await page.goto(`${site}/second`)
    assert.equal((await edge.waitFor('open', 2))[1]!['clickid'], CLICK)
  })

  test('works where storage and cookies are blocked', async (t) => {
    const blocked = `<script>
      const refuse = () => { throw new DOMException('blocked', 'SecurityError') }
      Object.defineProperty(window, 'localStorage', { get: refuse })
      Object.defineProperty(document, 'cookie', { get: refuse, set: refuse })
    </script>`
    const { edge, page, site } = await visit(t, '', blocked)
    edge.status = 503
    await page.goto(`${site}/?clickid=${CLICK}`)
    const [first] = await edge.waitFor('open')
    edge.status = 204
    const [, second] = await edge.waitFor('open', 2)
    assert.equal(second!.event_id, first!.event_id)
    await page.evaluate("trackDeposit(12.5, 'EUR', 'pay-1')")
    const [deposit] = await edge.waitFor('deposit')
    assert.deepEqual([deposit!['amount'], deposit!['currency'], deposit!['txid']], [12.5, 'EUR', 'pay-1'])
  })

  test('does not send again and again where the storage is full', async (t) => {
    const full = `<script>
      const write = Storage.prototype.setItem
      Storage.prototype.setItem = function (key, value) {
        if (window.isFull) throw new DOMException('full', 'QuotaExceededError')
        write.call(this, key, value)
      }
    </script>`
    const { edge, page, site } = await visit(t, '', full)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await settled(page)
    await page.evaluate("isFull = true, trackReg('user-1')")
    await edge.waitFor('reg')
    await page.evaluate("isFull = false, trackReg('user-2')")
    await edge.waitFor('reg', 2)
    assert.equal(new Set(edge.events.map(({ event_id }) => event_id)).size, edge.events.length)
  })

  test('queues while offline and sends the same events in one request as soon as the network is back', async (t) => {
    const { edge, context, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await settled(page)
    await context.setOffline(true)
    // The first event goes alone, and it must have failed before the network is back.
    const failed = page.waitForEvent('requestfailed')
    // Without timers only the browser's word that it is online can bring the events.
    await page.evaluate("setTimeout = () => 0, trackLpClick(), trackReg('user-1'), trackDeposit(5, 'USD', 'pay-1')")
    const queued = await page.evaluate<string[]>('JSON.parse(localStorage.wp_q).map((event) => event.event_id)')
    await failed
    await context.setOffline(false)
    await edge.waitFor('deposit')
    const last = edge.posts.at(-1)!
    assert.deepEqual(last.events.map(({ type }) => type), ['lp_click', 'reg', 'deposit']) // prettier-ignore
    assert.deepEqual(last.events.map(({ event_id }) => event_id), queued) // prettier-ignore
    await settled(page)
  })

  test('tries again at once where the network came back while a request was failing', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await settled(page)
    await page.evaluate(`
      setTimeout = () => 0
      const send = fetch
      fetch = () => new Promise((_, reject) => { fail = reject; fetch = send })
      trackReg('user-1')
      dispatchEvent(new Event('online'))
      fail(new TypeError('Failed to fetch'))`)
    await edge.waitFor('reg')
    await settled(page)
  })

  test('sends what an earlier page view could not, with the same event id', async (t) => {
    const { edge, page, site } = await visit(t)
    edge.status = 503
    await page.goto(`${site}/?clickid=${CLICK}`)
    const [first] = await edge.waitFor('open')
    edge.status = 204
    const countBefore = edge.events.length
    await page.goto(`${site}/second`)
    await settled(page)
    const repeats = edge.events.slice(countBefore).filter(({ type }) => type === 'open')
    assert.ok(repeats.length > 0)
    for (const repeat of repeats) assert.equal(repeat.event_id, first!.event_id)
  })

  test('forgets the events of a batch that the edge refused, and takes further ones', async (t) => {
    const { edge, page, site } = await visit(t)
    edge.status = 422
    await page.goto(`${site}/?clickid=${CLICK}`)
    await edge.waitFor('open')
    await settled(page)
    edge.status = 204
    await page.evaluate("trackReg('user-1')")
    await edge.waitFor('reg')
    assert.equal(edge.events.filter(({ type }) => type === 'open').length, 1)
  })

  test('sends events one by one where a batch cannot be read, and drops what still cannot', async (t) => {
    const { edge, context, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await settled(page)
    await context.setOffline(true)
    const failed = page.waitForEvent('requestfailed')
    await page.evaluate("trackLpClick(), trackReg('user-1')")
    await failed
    edge.status = 413
    await context.setOffline(false)
    await settled(page)
    assert.deepEqual(edge.posts.slice(1).map(({ events }) => events.map(({ type }) => type)), [['lp_click', 'reg'], ['lp_click'], ['reg']]) // prettier-ignore
  })

  test('keeps the newest 50 events and none that is longer than 3 000 characters', async (t) => {
    const { edge, context, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await settled(page)
    await context.setOffline(true)
    await page.evaluate("for (let n = 0; n < 60; n += 1) trackReg('user-' + n)")
    await page.evaluate("trackReg('x'.repeat(3000))")
    const txids = await page.evaluate<string[]>('JSON.parse(localStorage.wp_q).map((event) => event.txid)')
    assert.equal(txids.length, 50)
    assert.equal(txids.at(-1), 'user-59')
    await context.setOffline(false)
    await edge.waitFor('reg', 50)
    assert.ok(edge.posts.every(({ events }) => events.length <= 20))
  })

  test('carries on with an empty queue where another script spoiled the stored one', async (t) => {
    const { edge, page, site } = await visit(t, '', '<script>localStorage.wp_q = \'{"a":1\'</script>')
    await page.goto(`${site}/?clickid=${CLICK}`)
    await edge.waitFor('open')
  })

  test('sends lp_leave by beacon when the page is hidden, once', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/?clickid=${CLICK}`)
    await settled(page)
    await page.evaluate(`
      Object.defineProperty(document, 'visibilityState', { value: 'hidden' })
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
      window.dispatchEvent(new Event('pagehide'))
    `)
    await edge.waitFor('lp_leave')
    const queued = await page.evaluate<string[]>('JSON.parse(localStorage.wp_q).map((event) => event.type)')
    assert.deepEqual(queued, ['lp_leave'])
  })

  test('runs the commands that a page gave before the script came, and custom events', async (t) => {
    const stub = `<script>
      window.waypost = window.waypost || function () { (waypost.q = waypost.q || []).push(arguments) }
      waypost('event', 'level_up', { txid: 'level-2', amount: 3, currency: 'USD' })
    </script>`
    const { edge, page, site } = await visit(t, '', stub)
    await page.goto(`${site}/?clickid=${CLICK}`)
    const [event] = await edge.waitFor('level_up')
    assert.deepEqual([event!['txid'], event!['amount'], event!['currency']], ['level-2', 3, 'USD'])
    await page.evaluate("waypost('event', 'level_up', { txid: 'level-3' })")
    await edge.waitFor('level_up', 2)
  })

  test('tells of a click on a marked link and lets it take click and subs along', async (t) => {
    const link = '<a data-waypost-click href="/register?sub1=kept"><b>Play</b></a>'
    const { edge, page, site } = await visit(t, link)
    await page.goto(`${site}/?clickid=${CLICK}&sub1=a&sub3=c&flow_id=f1`)
    await page.click('b')
    await edge.waitFor('lp_click')
    await page.waitForURL('**/register**')
    const { searchParams } = new URL(page.url())
    assert.deepEqual(Object.fromEntries(searchParams), { sub1: 'kept', clickid: CLICK, sub3: 'c' })
  })

  test('sends nothing where no click is known, and its functions do not throw', async (t) => {
    const { edge, page, site } = await visit(t)
    await page.goto(`${site}/`)
    await page.evaluate("trackLpClick(), trackReg('user-1'), waypost('event', 'sale')")
    await page.goto(`${site}/?clickid=${CLICK}`)
    await edge.waitFor('open')
    assert.deepEqual(new Set(edge.events.map(({ clickid }) => clickid)), new Set([CLICK]))
  })

  test('sends to the origin that data-endpoint names', async (t) => {
    const { edge, page } = await visit(t)
    const receiver = new TestEdge(() => script)
    const endpoint = await receiver.start()
    const site = await servePage(() => `<!doctype html><script data-endpoint="${endpoint}">${script}</script>`)
    t.after(() => {
      receiver.stop()
      site.stop()
    })
    await page.goto(`${site.url}/?clickid=${CLICK}`)
    await receiver.waitFor('open')
    assert.deepEqual(edge.events, [])
  })
})
