import { escapeHtml, type ReferrerPolicy } from '#routing'

/** Pages that send a visitor on by themselves. They hold no script of others, are never cached and say nothing to read: a
 * visitor sees them for a moment.
 */

/** A text as JavaScript inside of `<script>`: `</script>` and `<!--` must not end it, nor U+2028 a line. */
const scriptText = (text: string): string =>
  JSON.stringify(text).replaceAll(
    /[<>\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

const page = (head: string, body: string, policy: ReferrerPolicy | undefined): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
${policy === undefined ? '' : `<meta name="referrer" content="${policy}">\n`}<title>…</title>
${head}
${body}
</html>
`

const link = (url: string): string => `<p><a href="${escapeHtml(url)}">Continue</a></p>`

/** Goes on by `<meta http-equiv="refresh">`: works without JavaScript. */
export const metaPage = (url: string, policy: ReferrerPolicy | undefined): string =>
  page(`<meta http-equiv="refresh" content="0; url=${escapeHtml(url)}">`, link(url), policy)

/** Goes on by script and takes no place in the history of the browser; by meta refresh where there is no JavaScript. */
export const scriptPage = (url: string, policy: ReferrerPolicy | undefined): string =>
  page(
    `<noscript><meta http-equiv="refresh" content="0; url=${escapeHtml(url)}"></noscript>\n<script>location.replace(${scriptText(url)})</script>`,
    link(url),
    policy,
  )

/** Shows the target in a frame that fills the window; the address stays ours. */
export const framePage = (url: string, policy: ReferrerPolicy | undefined): string =>
  page(
    '<style>html,body,iframe{margin:0;border:0;width:100%;height:100%;display:block;overflow:hidden}</style>',
    `<iframe src="${escapeHtml(url)}"${policy === undefined ? '' : ` referrerpolicy="${policy}"`} allow="fullscreen; payment"></iframe>`,
    policy,
  )
