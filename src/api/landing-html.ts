/** The page that a person sees who opens the port of the API in a browser. No script, nothing from elsewhere. */
export const landingHtml = (options: {
  readonly version: number | undefined
  readonly edgePort: number
  readonly apiPort: number
}): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Waypost</title>
<style>
  :root { --ink: #14213d; --soft: #5c677d; --paper: #fbfaf7; --card: #fff; --line: #e4e1d8; --accent: #b5452c }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #eceae4; --soft: #a3abb8; --paper: #12151c; --card: #1a1f29; --line: #2a3140; --accent: #f0896f }
  }
  * { box-sizing: border-box }
  body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", sans-serif }
  main { max-width: 46rem; margin: 0 auto; padding: 12vh 1.5rem 4rem }
  h1 { font-size: 2.6rem; line-height: 1.1; letter-spacing: -.03em; margin: 0 0 .5rem }
  h1 svg { height: .8em; margin-right: .3em; vertical-align: -.06em; fill: none; stroke: var(--accent); stroke-width: 2.5; stroke-linejoin: round }
  .lead { font-size: 1.15rem; color: var(--soft); margin: 0 0 2.5rem; max-width: 36rem }
  ul { list-style: none; margin: 0 0 2.5rem; padding: 0; display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)) }
  li { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.1rem }
  li p { margin: .15rem 0 0; color: var(--soft); font-size: .93rem }
  a { color: var(--accent); text-underline-offset: .2em; font-weight: 600 }
  pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.1rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .88rem }
  footer { color: var(--soft); font-size: .88rem; border-top: 1px solid var(--line); padding-top: 1rem; margin-top: 2.5rem }
</style>
<main>
  <h1><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 23V2M12 4h8l2 3-2 3h-8M12 12H5l-2 3 2 3h7"/></svg>Waypost</h1>
  <p class="lead">Performance marketing on your own machine: it redirects a click, collects what the visitor then does, books what it is worth and tells
  your partners. This port is its API; visitors use port ${options.edgePort}.</p>
  <ul>
    <li><a href="/openapi.json">API description</a><p>OpenAPI 3.1, every route with its parameters and answers.</p></li>
    <li><a href="/readyz">Readiness</a><p>Which engines answer, and the version of the configuration${options.version === undefined ? '' : `, which is ${options.version}`}.</p></li>
    <li><a href="/metrics">Metrics</a><p>For Prometheus.</p></li>
  </ul>
  <p>Everything else needs an API key. The owner's is in <code>secrets.json</code> in the data directory, which is <code>./data</code> unless <code>WAYPOST_DATA_DIR</code> names another:</p>
  <pre>KEY=$(node -p 'require("./data/secrets.json").owner_api_key')
curl -H "Authorization: Bearer $KEY" \\
  'http://localhost:${options.apiPort}/v1/reports?group_by=campaign_id'</pre>
  <p>No traffic yet? <code>npm run waypost -- demo</code> shows everything at work within a minute. The documentation is in the folder
  <code>docs</code>: begin with <code>docs/quickstart.md</code>.</p>
  <footer>Places of visitors come from <a href="https://db-ip.com">DB-IP.com</a> (CC BY 4.0).</footer>
</main>
</html>
`
