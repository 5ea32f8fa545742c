/** What the demo's landing pages show; one page, in the words of each offer. */
export type LandingPageText = {
  readonly offerName: string
  readonly headline: string
  readonly promise: string
  readonly currency: string
  /** What the deposit button pays in, whole units. */
  readonly amounts: readonly number[]
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** A landing page of the demo advertiser: carries the snippet, reports the call to action, registrations and deposits.
 * @param edgeUrl origin of the edge that serves /t.js and takes the events
 */
export const landingPage = (text: LandingPageText, edgeUrl: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(text.offerName)}</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: dark; --ink: #f4f2ff; --soft: #b8b3d9; --glow: #7c5cff; --mint: #2ee6a8; --card: #1b1738; }
  * { box-sizing: border-box; margin: 0 }
  body { min-height: 100vh; display: grid; place-items: center; padding: 24px; color: var(--ink);
    font: 16px/1.5 system-ui, sans-serif;
    background: radial-gradient(900px 500px at 15% -10%, #4a2fd055, transparent), radial-gradient(700px 500px at 100% 110%, #0fa77a44, transparent), #0f0c22 }
  main { width: min(440px, 100%); background: var(--card); border: 1px solid #ffffff14; border-radius: 24px; padding: 36px;
    box-shadow: 0 30px 80px #0008 }
  .brand { font-weight: 700; letter-spacing: .08em; text-transform: uppercase; font-size: 12px; color: var(--mint) }
  h1 { font-size: 34px; line-height: 1.1; margin: 12px 0 10px; text-wrap: balance }
  p { color: var(--soft) }
  section { margin-top: 26px; display: grid; gap: 12px }
  label { font-size: 13px; color: var(--soft); display: grid; gap: 6px }
  input { font: inherit; color: var(--ink); background: #0f0c22; border: 1px solid #ffffff24; border-radius: 12px; padding: 12px 14px }
  button { font: inherit; font-weight: 650; border: 0; border-radius: 12px; padding: 14px; cursor: pointer; color: #0f0c22; background: var(--mint) }
  button:hover { filter: brightness(1.08) } button:focus-visible, input:focus-visible { outline: 3px solid var(--glow); outline-offset: 2px }
  .amounts { display: grid; grid-template-columns: repeat(3, 1fr); gap: 10px }
  .amounts button { background: #ffffff12; color: var(--ink); border: 1px solid #ffffff24 }
  [hidden] { display: none }
  output { display: block; margin-top: 20px; color: var(--mint); min-height: 1.5em }
  footer { margin-top: 18px; font-size: 12px; color: var(--soft) }
</style>
</head>
<body>
<main>
  <div class="brand">${escapeHtml(text.offerName)}</div>
  <h1>${escapeHtml(text.headline)}</h1>
  <p>${escapeHtml(text.promise)}</p>
  <section id="start"><button id="cta" type="button">Get started</button></section>
  <section id="register" hidden>
    <label>E-mail <input id="email" type="email" autocomplete="off" value="visitor@example.com"></label>
    <button id="reg" type="button">Create account</button>
  </section>
  <section id="pay" hidden>
    <p>Your account is ready. Choose a first deposit.</p>
    <div class="amounts">${text.amounts
      .map((amount) => `<button type="button" data-amount="${amount}">${amount} ${escapeHtml(text.currency)}</button>`)
      .join('')}</div>
  </section>
  <output id="state" role="status"></output>
  <footer>A demo page of Waypost. No money moves, nothing that you type leaves this page.</footer>
</main>
<script src="${escapeHtml(edgeUrl)}/t.js"></script>
<script>
  const show = (id, state) => {
    for (const section of document.querySelectorAll('section')) section.hidden = section.id !== id
    document.getElementById('state').textContent = state
  }
  const account = 'acc-' + crypto.randomUUID().slice(0, 8)
  document.getElementById('cta').onclick = () => { trackLpClick(); show('register', '') }
  document.getElementById('reg').onclick = () => { trackReg(account); show('pay', 'Registered as ' + account) }
  for (const button of document.querySelectorAll('[data-amount]')) button.onclick = () => {
    const payment = 'pay-' + crypto.randomUUID().slice(0, 8)
    trackDeposit(Number(button.dataset.amount), '${escapeHtml(text.currency)}', payment)
    show('done', 'Thank you! Deposit ' + payment + ' of ' + button.dataset.amount + ' ${escapeHtml(text.currency)} arrived.')
  }
</script>
</body>
</html>
`
