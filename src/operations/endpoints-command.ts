import { rotateSecret } from '#configuration'
import type { Config } from '#config'
import { createLogLines } from '#platform/log-lines'
import { systemClock } from '#platform/clock'
import { createPool, migratePostgres, type Pool } from '#platform/postgres'
import {
  countReplay,
  createReplay,
  enableEndpoint,
  listFailing,
  listPauses,
  missedFilter,
  pauseDeliveries,
  replayLimits,
  resumeDeliveries,
  type PausedObject,
} from '#postbacks'

import { callerName } from './apply-file.ts'
import { describeCount, describeRunning } from './describe-replay.ts'
import { dataPaths } from './data-directory.ts'
import { reachDatabase } from './engines.ts'

/** What `waypost endpoints` is asked for. */
export type EndpointsQuestion =
  | { readonly verb: 'list' }
  | { readonly verb: 'pause'; readonly object: PausedObject; readonly id: string; readonly note: string | undefined }
  | { readonly verb: 'resume'; readonly object: PausedObject; readonly id: string }
  | { readonly verb: 'enable'; readonly id: string }
  | {
      readonly verb: 'recover'
      readonly id: string
      readonly since: string
      readonly perMinute: number | undefined
      readonly isDryRun: boolean
    }
  | { readonly verb: 'rotate-secret'; readonly id: string; readonly keepHours: number }

/** `waypost endpoints`: what is out of order with the receivers of postbacks, and what to do about it.
 * @returns exit code: 0; 1 where there is no such thing or nothing to do
 * @throws {Error} the database cannot be reached
 */
export async function runEndpointsCommand(config: Config, question: EndpointsQuestion): Promise<number> {
  const logLines = createLogLines('endpoints', config.logLevel)
  const database = await reachDatabase(config, dataPaths(config.dataDir), logLines)
  const pool = createPool(database.value, { max: 1, applicationName: 'waypost endpoints' })
  try {
    await migratePostgres(pool)
    const { text, isDone } = await answerEndpoints(pool, question, callerName())
    if (isDone) process.stdout.write(`${text}\n`)
    else process.stderr.write(`waypost: ${text}\n`)
    return isDone ? 0 : 1
  } finally {
    await pool.end()
    await database.close()
  }
}

type Answer = { readonly text: string; readonly isDone: boolean }

const done = (text: string): Answer => ({ text, isDone: true })
const failed = (text: string): Answer => ({ text, isDone: false })

/** @param by who asks; kept with what is changed */
export async function answerEndpoints(pool: Pool, question: EndpointsQuestion, by: string): Promise<Answer> {
  switch (question.verb) {
    case 'list':
      return done(await printTroubles(pool))
    case 'pause': {
      const { object, id, note } = question
      const outcome = await pauseDeliveries(pool, object, id, by, note)
      if (outcome === 'unknown') return failed(`There is no ${object} "${id}".`)
      return done(`Postbacks of the ${object} ${id} wait${outcome === 'paused' ? '' : ', as before'}.`)
    }
    case 'resume': {
      const { object, id } = question
      if ((await resumeDeliveries(pool, object, id)) === 'resumed')
        return done(`Postbacks of the ${object} ${id} go on.`)
      return failed(`The ${object} "${id}" is not paused by hand.`)
    }
    case 'enable':
      return printEnabling(pool, question.id)
    case 'recover':
      return recover(pool, question, by)
    case 'rotate-secret':
      return printRotation(pool, question.id, question.keepHours, by)
    default:
      return question satisfies never
  }
}

async function printTroubles(pool: Pool): Promise<string> {
  const failing = await listFailing(pool)
  const pauses = await listPauses(pool)
  if (failing.length + pauses.length === 0) return 'Every endpoint is in order.'
  return [
    ...pauses.map(
      ({ object, object_id, paused_at, paused_by, note, held }) =>
        `paused    ${object} ${object_id}  since ${paused_at.toISOString()} by ${paused_by}${note === null ? '' : `: ${note}`}${held === null ? '' : `  ${held} wait`}`,
    ),
    ...failing.map(
      ({ endpoint_id, failing_since, disabled_at, disabled_reason }) =>
        `${disabled_at === null ? 'failing ' : 'disabled'}  endpoint ${endpoint_id}  failing since ${failing_since.toISOString()}${
          disabled_at === null ? '' : `, disabled at ${disabled_at.toISOString()} (${disabled_reason ?? ''})`
        }`,
    ),
  ].join('\n')
}

async function printEnabling(pool: Pool, id: string): Promise<Answer> {
  const enabling = await enableEndpoint(pool, id)
  if (enabling.kind === 'not_disabled') return failed(`The endpoint "${id}" is not disabled.`)
  const since = enabling.since.toISOString()
  const offer = `waypost endpoints recover ${id} --since ${since}`
  const missed = enabling.missed === 0 ? 'It missed nothing.' : `It missed ${enabling.missed}; send them once more with: ${offer}` // prettier-ignore
  return done(`The endpoint ${id}, which failed since ${since}, is in service again.\n${missed}`)
}

/** As `waypost replay`: counts at first, and begins a replay with --yes. */
async function recover(
  pool: Pool,
  { id, since, perMinute, isDryRun }: Extract<EndpointsQuestion, { verb: 'recover' }>,
  by: string,
): Promise<Answer> {
  const filter = missedFilter(id, new Date(since))
  if (isDryRun) return done(describeCount(await countReplay(pool, filter, { role: 'owner' })))
  const replay = await createReplay(pool, {
    ...{ filter, by, tenant: { role: 'owner' }, nowMs: systemClock.now() },
    perMinute: perMinute ?? replayLimits.perMinuteDefault,
  })
  if (replay !== undefined) return done(describeRunning(replay.replay_id))
  return failed(`${replayLimits.runningMax} replays are running; wait for one to end.`)
}

async function printRotation(pool: Pool, id: string, keepHours: number, by: string): Promise<Answer> {
  const rotation = await rotateSecret(pool, id, { by: `rotate-secret by ${by}`, keepHours })
  if (rotation.kind === 'endpoint_unknown') return failed(`There is no endpoint "${id}".`)
  const { secret, previousUntil, version } = rotation
  const kept = previousUntil === undefined ? '' : `\nUntil ${previousUntil.toISOString()} the old secret signs too.`
  return done(
    `${secret}\nThis is the secret of ${id} as of version ${version}: put it into your configuration file.${kept}`,
  )
}
