import type { IncomingMessage } from 'node:http'

import { scoreClick, type RateCounters } from '#fraud'
import { newcomerOf } from '#hot-state'
import type { FraudJudge } from '#routing'
import type { ClickDraft } from './record-drafts.ts'

/** Scores a click for the places that its decision comes to, and counts it once whatever their number: the windows are those
 * of the installation.
 */
export function judgeOf(
  draft: ClickDraft,
  { headers }: IncomingMessage,
  { isHttps, timeZone }: { readonly isHttps: boolean; readonly timeZone: string | undefined },
  rates: RateCounters,
): FraudJudge {
  let counted: RateCounters | undefined
  return (settings, place) => {
    counted ??= countOnce(rates)
    const { at, visitor_code, referrer } = draft
    const hints = {
      brands: textOf(headers['sec-ch-ua']),
      mobile: textOf(headers['sec-ch-ua-mobile']),
      platform: textOf(headers['sec-ch-ua-platform']),
    }
    return scoreClick(
      {
        at,
        visitor: draft,
        hints,
        isHttps,
        visitorCode: visitor_code,
        newcomer: newcomerOf(draft),
        referrer,
        timeZone,
        ...place,
      },
      settings,
      counted,
    )
  }
}

const textOf = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header.join(', ') : header

function countOnce(rates: RateCounters): RateCounters {
  const counts = new Map<string, number>()
  const repeats = new Map<string, boolean>()
  return {
    count: (kind, key, windowSeconds, at) => remembered(counts, kind, () => rates.count(kind, key, windowSeconds, at)),
    isRepeat: (visitor, campaign, windowSeconds, at) =>
      remembered(repeats, `${visitor} ${campaign}`, () => rates.isRepeat(visitor, campaign, windowSeconds, at)),
  }
}

function remembered<T>(known: Map<string, T>, key: string, ask: () => T): T {
  const answer = known.get(key) ?? ask()
  known.set(key, answer)
  return answer
}
