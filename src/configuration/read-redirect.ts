import type { Flow, Offer } from '#routing'
import { report, type Reading } from './check-shape.ts'
import type { FileFlow, FileOffer } from './file-schema.ts'
import { problem } from './issues.ts'

type Redirect = Pick<Flow | Offer, 'redirect' | 'referrer_policy'>

/** How the visitors of a flow or offer are sent on. The second page of `double_meta` is there to tell the target nothing. */
export function readRedirect(file: FileFlow | FileOffer, reading: Reading): Redirect {
  const { redirect, referrer_policy } = file
  if (redirect === 'double_meta' && referrer_policy !== undefined && referrer_policy !== 'no-referrer')
    report(
      reading,
      reading.treeOf.get(file),
      problem(
        'combination_invalid',
        `double_meta always tells the target nothing: the referrer_policy ${referrer_policy} would never hold.`,
        'Leave out referrer_policy, or use another redirect, such as meta.',
      ),
      'referrer_policy',
    )
  return { ...(redirect && { redirect }), ...(referrer_policy && { referrer_policy }) }
}

/** What a flow does instead of leading to an offer. */
type FlowEnd = 'to_campaign' | 'to_url' | 'show_html' | 'show_not_found'
type RedirectKey = keyof Redirect

const bothKeys: readonly RedirectKey[] = ['redirect', 'referrer_policy']

/** What is written of how visitors are sent on and would mean nothing, with the reason. */
const unused: Readonly<
  Record<FlowEnd, { readonly keys: readonly RedirectKey[]; readonly why: string; readonly hint: string }>
> = {
  to_campaign: {
    keys: bothKeys,
    why: 'The flow that takes the visitor in the next campaign, or its offer, says how they are sent on',
    hint: 'Write it there.',
  },
  to_url: { keys: [], why: '', hint: '' },
  show_html: { keys: ['redirect'], why: 'A page is shown and nobody is sent on', hint: 'Leave it out.' },
  show_not_found: { keys: bothKeys, why: 'The plain page “not found” leads nowhere', hint: 'Leave it out.' },
}

/** Reports what a flow says of sending its visitors on, where it does something else with them. */
export function reportUnusedRedirect(file: FileFlow, end: FlowEnd, reading: Reading): void {
  const { keys, why, hint } = unused[end]
  for (const key of keys)
    if (file[key] !== undefined)
      report(
        reading,
        reading.treeOf.get(file),
        problem('combination_invalid', `${why}: ${key} has no effect beside ${end}.`, hint),
        key,
      )
}
