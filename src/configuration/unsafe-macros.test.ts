import assert from 'node:assert/strict'
import { test } from 'node:test'

import { compileTemplate } from '#routing'
import { isHostChosen, isScriptChosen } from './unsafe-macros.ts'

test('no link chooses the host of a URL', () => {
  const chosen = (url: string): boolean => isHostChosen(compileTemplate(url, 'url'))
  for (const url of ['https://{sub1}/', 'https://shop.example{_utm_term}', 'https://{visitor_code}', 'https://a.{link_code}?x', 'https://shop.example:{sub2}/'])
    assert.equal(chosen(url), true, url) // prettier-ignore
  for (const url of ['https://shop.example/{sub1}', 'https://shop.example?{sub1}', 'https://shop.example#{sub1}', 'https://{country}.shop.example', 'https://{domain}/{_sub1}'])
    assert.equal(chosen(url), false, url) // prettier-ignore
})

test('no link writes a script into a page', () => {
  const chosen = (html: string): boolean => isScriptChosen(compileTemplate(html, 'html'))
  for (const html of [
    '<script>a = "{sub1}"</script>',
    '<p><SCRIPT type="x" defer>if (1 < 2) a = {_sub1}',
    '<style>p { color: {sub1} }</style>',
    '<a href="{sub1}">x</a>',
    '<a href="/{sub1}">x</a>',
    "<a href=' {sub1}'>x</a>",
    '<a href={sub1}>x</a>',
    '<a title={sub1}>x</a>',
    '<a {sub1}>x</a>',
    '<{sub1}>x',
    '<b onclick="go(\'{sub1}\')">x</b>',
    '<b title="a > b" style="{sub1}">x</b>',
    '<iframe src="//{sub1}/">',
    '<meta http-equiv="refresh" content="0; url={sub1}">',
    '<script></script><script>{external_id}</script>',
  ])
    assert.equal(chosen(html), true, html)
  for (const html of [
    '<p>{sub1} {_sub1} &lt;script> {utm_term}',
    '<p title="{sub1}" data-a=\'{sub2}\'>1 < 2 {sub3}</p>',
    '<a href="https://shop.example/?a={sub1}">x</a>',
    '<a href="/lamp?a={sub1}">x</a>',
    '<script>id = "{click_id}"; visitor = "{visitor_code}"</script><p>{sub1}',
    '<!-- {sub1} <script> --><p>{sub1}',
    '<meta name="description" content="{sub1}">',
    '<meta http-equiv="refresh" content="0; url=https://shop.example/{sub1}">',
  ])
    assert.equal(chosen(html), false, html)
})
