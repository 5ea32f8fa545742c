/** The snippet of a landing page, served by the edge as `/t.js`. See docs/snippet.md.
 *
 * An event waits in the queue (localStorage, else memory) until the edge has answered for it, and keeps its id through every
 * attempt, so that the edge can tell a repeat. A page that goes away sends what is left by beacon, which has no answer: the
 * next page view sends it once more.
 */

type Fields = Record<string, unknown>
type QueuedEvent = Fields & { readonly event_id: string; readonly ts_client: number }
type Command = (command: string, name: string, fields?: Fields) => void

interface Globals {
  trackLpClick: () => void
  trackReg: (txid?: string) => void
  trackDeposit: (amount: number | string, currency: string, txid?: string) => void
  waypost: Command & { q?: ArrayLike<unknown>[] }
}

/** The queue keeps the newest events; with the length of one event this bounds what it takes of the site's storage. */
const QUEUE_EVENTS_MAX = 50
/** Longer events are not recorded: twenty of this length stay below the 64 KiB that the edge and a beacon take. */
const EVENT_CHARACTERS_MAX = 3_000
const BATCH_EVENTS_MAX = 20
/** An older event says nothing that a report still waits for. */
const EVENT_AGE_MS_MAX = 6.048e8
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 60_000
const COOKIE_SECONDS = 31_536_000

/** What the edge takes as a click id and as a visitor code. */
const CLICK_ID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i
const VISITOR_CODE = /^[\w.-]{1,64}$/
/** Parameters of the page that events carry; sub2 only in the form that the edge takes, since it refuses the event else. */
const PAGE_PARAMETER = /^(sub([1-9]|10)|(campaign|flow|offer|landing|source|ad_campaign|external|creative)_id)$/
const SUB2 = /^[^|-]+-[^|]*(\|[^|-]+-[^|]*)*$/

/** A value of localStorage, which throws where the visitor blocks it. `value` sets it first. */
const stored = (key: string, value?: string): string | null => {
  try {
    if (value !== undefined) localStorage.setItem(key, value)
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

const cookie = (name: string): string | undefined => {
  try {
    return new RegExp(`(?:^|; )${name}=([^;]*)`).exec(document.cookie)?.[1]
  } catch {
    return undefined // A sandboxed frame may not read cookies.
  }
}

const keep = (name: string, value: string): void => {
  stored(name, value)
  try {
    const secure = location.protocol === 'https:' ? ';Secure' : ''
    document.cookie = `${name}=${value};path=/;max-age=${COOKIE_SECONDS};SameSite=Lax${secure}`
  } catch {
    return // As above; localStorage or this page view has it.
  }
}

/** A random UUID; `crypto.randomUUID` exists on https pages only. */
const newUuid = (): string =>
  crypto.randomUUID?.() ??
  '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, (digit) =>
    (Number(digit) ^ (crypto.getRandomValues(new Uint8Array(1))[0]! & (15 >> (Number(digit) / 4)))).toString(16),
  )

const start = (): void => {
  const page = window as unknown as Globals
  const queuedCommands = page.waypost?.q ?? []
  const script = (document.currentScript ?? document.querySelector('script[src*="/t.js"]')) as HTMLScriptElement | null
  const endpoint = `${script?.dataset['endpoint'] ?? new URL(script?.src ?? location.href).origin}/event`
  const parameters = new URLSearchParams(location.search)

  const find = (key: string, names: string[], form: RegExp): string | undefined =>
    [...names.map((name) => parameters.get(name)), cookie(key), stored(key)].find((value) => form.test(value ?? '')) ??
    undefined

  const clickId = find('wp_click', ['clickid', 'click_id', 'cid', 'subid', 'aff_click_id'], CLICK_ID)
  const visitorCode = find('wp_v', ['visitor_code'], VISITOR_CODE) ?? newUuid()
  keep('wp_v', visitorCode)
  if (clickId) keep('wp_click', clickId)

  const pageFields: Record<string, string> = {}
  parameters.forEach((value, name) => {
    if (PAGE_PARAMETER.test(name) && value && (name !== 'sub2' || SUB2.test(value)))
      pageFields[name] = value.slice(0, 200)
  })

  /** The queue of this page view; in use where storage is blocked or full, when what stands there could not be replaced. */
  let memoryQueue: QueuedEvent[] | undefined
  const readQueue = (): QueuedEvent[] => {
    if (memoryQueue) return memoryQueue
    try {
      const events = JSON.parse(stored('wp_q')!) as unknown
      return Array.isArray(events) ? events : []
    } catch {
      return []
    }
  }
  const writeQueue = (events: QueuedEvent[]): void => {
    const newest = events.slice(-QUEUE_EVENTS_MAX)
    memoryQueue = stored('wp_q', JSON.stringify(newest)) === null ? newest : undefined
  }

  let isSending = false
  let failures = 0
  /** The network came back while a batch was under way: it may have failed for want of it, so its failure is no reason to wait. */
  let isBackOnline = false
  let batchMax = BATCH_EVENTS_MAX
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Sends what waits, a batch at a time, oldest first. */
  const flush = (): void => {
    const events = readQueue().filter((event) => Date.now() - event.ts_client < EVENT_AGE_MS_MAX)
    const batch = events.slice(0, batchMax)
    if (isSending || !batch.length) return
    isSending = true
    isBackOnline = false
    clearTimeout(timer)
    void fetch(endpoint, { method: 'POST', body: JSON.stringify(batch), keepalive: true })
      .then((answer) => answer.status)
      .catch(() => 0)
      .then((status) => settle(batch, status))
  }

  /** 422: the refused events of the batch will never be taken, the others are recorded. 400, 413: it cannot be read as a
   * whole, so each event is sent alone and what still is not taken is dropped. Anything else comes again.
   */
  const settle = (batch: QueuedEvent[], status: number): void => {
    isSending = false
    const isUnreadable = status === 400 || status === 413
    if (isUnreadable) batchMax = 1
    if (status === 422 || (status >= 200 && status < 300) || (isUnreadable && batch.length < 2)) {
      const ids = batch.map((event) => event.event_id)
      writeQueue(readQueue().filter((event) => ids.indexOf(event.event_id) < 0))
      failures = 0
      flush()
    } else if (isUnreadable || isBackOnline) flush()
    else timer = setTimeout(flush, Math.min(RETRY_MS_MIN * 2 ** failures++, RETRY_MS_MAX) * (0.5 + Math.random()))
  }

  /** Puts an event into the queue; without a click there is nobody to tell it of. */
  const record = (type: string, fields?: Fields): boolean => {
    const network = navigator as Navigator & { connection?: { effectiveType?: string } }
    const event: QueuedEvent = {
      type,
      event_id: newUuid(),
      clickid: clickId,
      visitor_code: visitorCode,
      ts_client: Date.now(),
      ...pageFields,
      lang: navigator.language,
      tz: Intl.DateTimeFormat().resolvedOptions().timeZone,
      screen: `${screen.width}x${screen.height}`,
      connection: network.connection?.effectiveType,
      device_type: /Mobi|Android|iPhone|iPad/i.test(navigator.userAgent) ? 'mobile' : 'desktop',
      site: location.hostname,
      referrer: document.referrer.slice(0, 1_000) || undefined,
      ...fields,
    }
    const isRecorded = !!clickId && JSON.stringify(event).length <= EVENT_CHARACTERS_MAX
    if (isRecorded) writeQueue([...readQueue(), event])
    return isRecorded
  }

  const send = (type: string, fields?: Fields): void => {
    record(type, fields)
    flush()
  }

  let hasLeft = false
  const leave = (): void => {
    if (hasLeft) return
    hasLeft = true
    if (!record('lp_leave', { time_on_page_ms: Math.round(performance.now()) })) return
    const batch = JSON.stringify(readQueue().slice(-BATCH_EVENTS_MAX))
    if (!navigator.sendBeacon?.(endpoint, batch)) flush()
  }

  /** A link to the next page takes the click and its sub ids along. */
  const follow = (target: Element | null): void => {
    const cta = target?.closest<HTMLAnchorElement>('[data-waypost-click]')
    if (!cta) return
    send('lp_click')
    if (!clickId || !/^https?:/.test(cta.href ?? '')) return
    const url = new URL(cta.href)
    for (const [name, value] of [['clickid', clickId], ...Object.entries(pageFields)] as [string, string][])
      if (/^(clickid|sub)/.test(name) && !url.searchParams.has(name)) url.searchParams.set(name, value)
    cta.href = url.href
  }

  page.trackLpClick = () => send('lp_click')
  page.trackReg = (txid) => send('reg', { txid })
  page.trackDeposit = (amount, currency, txid) => send('deposit', { amount, currency, txid })
  page.waypost = (command, name, fields) => {
    if (command === 'event') send(name, fields)
  }
  for (const [command, name, fields] of queuedCommands as [string, string, Fields?][])
    page.waypost(command, name, fields)

  addEventListener('online', () => {
    isBackOnline = true
    flush()
  })
  addEventListener('pagehide', leave)
  addEventListener('visibilitychange', () => (document.visibilityState === 'hidden' ? leave() : flush()), true)
  addEventListener('click', (click) => follow(click.target as Element | null), true)

  if (clickId && stored('wp_open') !== clickId) {
    record('open')
    stored('wp_open', clickId)
  }
  flush()
}

start()
