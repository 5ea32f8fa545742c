import { Type } from 'typebox'

import { asTenant } from '#accounts'
import { countReplay, createReplay, replayLimits, type ReplayFilter, type ReplayRow } from '#postbacks'

import type { Api } from './api.ts'
import type { principalOf } from './authorize.ts'
import { RequestError } from './errors.ts'
import { answers, instantText, nullable, oneWord, openObject } from './schemas.ts'

export const dryRun = Type.Boolean({ description: 'Only count', default: true })

export const perMinute = Type.Integer({
  description: 'New deliveries in a minute at most',
  minimum: 1,
  maximum: replayLimits.perMinuteMax,
  default: replayLimits.perMinuteDefault,
})

const skipped = Type.Record(Type.String(), Type.Integer(), {
  description: 'Not sent, by reason; see docs/states/delivery.md',
})

export const replayShape = Type.Object({
  replay_id: Type.String(),
  created_at: instantText('When it was asked for'),
  created_by: Type.String({ description: 'Name of the API key' }),
  filter: openObject('As it was asked for'),
  per_minute: Type.Integer(),
  state: oneWord(['running', 'done', 'cancelled'], 'What it is doing'),
  replayed: Type.Integer({ description: 'New deliveries made' }),
  skipped,
  progress: Type.Number({ description: '0 to 1: how far it is in the time that it covers' }),
  finished_at: nullable(instantText('When it ended')),
})

const counted = Type.Object({
  dry_run: Type.Literal(true),
  replayed: Type.Integer({ description: 'Would be sent' }),
  skipped,
  is_cut: Type.Boolean({ description: `More than ${replayLimits.countMax} fit; no more are counted` }),
})

/** Of a route that counts at first, and begins a replay where it is told to. */
export const replayAnswers = { ...answers(counted), ...answers(replayShape, 201) }

/** Counts what a replay would send, or begins it.
 * @throws {RequestError} conflict: as many run as may
 */
export async function askReplay(
  api: Api,
  principal: ReturnType<typeof principalOf>,
  asked: { readonly filter: ReplayFilter; readonly perMinute: number | undefined; readonly isDryRun: boolean },
): Promise<{ readonly status: 200 | 201; readonly body: object }> {
  const { filter, perMinute: rate = replayLimits.perMinuteDefault } = asked
  if (asked.isDryRun) {
    const { isCut, ...counts } = await asTenant(api.pool, principal, (tx) => countReplay(tx, filter, principal))
    return { status: 200, body: { dry_run: true, ...counts, is_cut: isCut } }
  }
  const by = principal.name
  const replay = await createReplay(api.pool, {
    filter,
    perMinute: rate,
    by,
    tenant: principal,
    nowMs: api.clock.now(),
  })
  if (replay !== undefined) return { status: 201, body: replayJson(replay) }
  const most = principal.role === 'owner' ? replayLimits.runningMax : replayLimits.runningOfTenantMax
  throw new RequestError('conflict', `${most} replays of yours are running; wait for one to end, or cancel one`)
}

export function replayJson({ created_at, replayed, finished_at, cursor_at, to_at, ...rest }: ReplayRow): object {
  const fromMs = Date.parse(rest.filter.from)
  const span = to_at.getTime() - fromMs
  const done = span <= 0 || rest.state === 'done' ? 1 : (cursor_at.getTime() - fromMs) / span
  return {
    ...rest,
    created_at: created_at.toISOString(),
    replayed: Number(replayed),
    progress: Math.min(1, Math.max(0, done)),
    finished_at: finished_at?.toISOString() ?? null,
  }
}
