import { decodeVerdict, describeVerdict } from '#fraud'

/** A fraud verdict as the API shows it, to owners and advertisers: affiliates would learn how to stay below the thresholds.
 * @param text as it was recorded; null and undefined: there are no reasons
 */
export function verdictJson(text: string | null | undefined): object | null {
  const verdict = text ? decodeVerdict(text) : undefined
  if (verdict === undefined) return null
  const { action, score, reasons } = verdict
  return { action, score, reasons, sentences: describeVerdict(verdict), text }
}
