import { postbackParameterNames } from './postback-parameters.ts'

const RAW_CHARACTERS_MAX = 2_048
const MASK = '***'

/** `secret=…` of a query or form, `"secret": "…"` of JSON. */
const NAMED_SECRET = new RegExp(
  String.raw`((?:^|[?&\s{,"])(?:${postbackParameterNames.secret.join('|')})"?\s*[=:]\s*"?)[^"&\s,}]*`,
  'gi',
)

/** What was received, for a person to read: query and body with secrets masked, cut to 2 048 characters.
 * @param secrets as they were understood; wherever one stands in the text it is masked too
 */
export function maskSecrets(text: string, secrets: readonly string[]): string {
  let masked = text.replace(NAMED_SECRET, `$1${MASK}`)
  for (const secret of secrets) {
    // A shorter "secret" is no secret, and masking single letters would make the text unreadable.
    if (secret.length < 4) continue
    for (const form of [secret, encodeURIComponent(secret.toWellFormed())]) masked = masked.replaceAll(form, MASK)
  }
  return masked.slice(0, RAW_CHARACTERS_MAX)
}
