import {
  diffVersions,
  findVersion,
  listVersions,
  maskSnapshot,
  printChanges,
  restoreVersion,
  type Restoration,
} from '#configuration'
import type { Config } from '#config'
import { createLogLines } from '#platform/log-lines'
import { createPool, migratePostgres, type Pool } from '#platform/postgres'

import { callerName } from './apply-file.ts'
import { dataPaths } from './data-directory.ts'
import { reachDatabase } from './engines.ts'

/** What `waypost config` is asked for. */
export type ConfigQuestion =
  | { readonly verb: 'history'; readonly limit: number }
  | { readonly verb: 'show'; readonly version: number | undefined }
  | { readonly verb: 'diff'; readonly from: number; readonly to: number }
  | { readonly verb: 'restore'; readonly version: number; readonly isDryRun: boolean }

/** `waypost config`: the versions of the configuration, and how to get back to one.
 * @returns exit code: 0; 1 where a version does not exist or cannot be restored
 * @throws {Error} the database cannot be reached
 */
export async function runConfigCommand(config: Config, question: ConfigQuestion): Promise<number> {
  const logLines = createLogLines('config', config.logLevel)
  const database = await reachDatabase(config, dataPaths(config.dataDir), logLines)
  const pool = createPool(database.value, { max: 1, applicationName: 'waypost config' })
  try {
    await migratePostgres(pool)
    const { text, isDone } = await answer(pool, question)
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

async function answer(pool: Pool, question: ConfigQuestion): Promise<Answer> {
  switch (question.verb) {
    case 'history':
      return done(await printHistory(pool, question.limit))
    case 'show': {
      const found = await findVersion(pool, question.version)
      if (found === undefined) return failed('There is no such version.')
      return done(JSON.stringify(maskSnapshot(found.snapshot), null, 2))
    }
    case 'diff': {
      const changes = await diffVersions(pool, question.from, question.to)
      return changes === undefined ? failed('There is no such version.') : done(printChanges(changes))
    }
    case 'restore': {
      const { version, isDryRun: dryRun } = question
      return printRestoration(
        version,
        await restoreVersion(pool, version, { by: `restore by ${callerName()}`, dryRun }),
      )
    }
    default:
      return question satisfies never
  }
}

async function printHistory(pool: Pool, limit: number): Promise<string> {
  const versions = await listVersions(pool, undefined, limit)
  return versions
    .map(({ version, createdAt, createdBy, restoredVersion, added, changed, removed, firstObjects }) => {
      const restored = restoredVersion === undefined ? '' : `, version ${restoredVersion} again`
      const objects = firstObjects.length === 0 ? '' : `: ${firstObjects.join(', ')}${added + changed + removed > firstObjects.length ? ', …' : ''}` // prettier-ignore
      return `${version}  ${createdAt.toISOString()}  ${createdBy}${restored}  +${added} ~${changed} -${removed}${objects}`
    })
    .join('\n')
}

/** @param version the one that was asked for */
export function printRestoration(version: number, result: Restoration): Answer {
  switch (result.kind) {
    case 'version_unknown':
      return failed(`There is no version ${version}.`)
    case 'outdated':
      return failed(`The newest version is ${result.newest}.`)
    case 'refused':
      return failed(`${result.reasons.join('\n')}\nVersion ${version} cannot be restored.`)
    case 'unchanged':
      return done(`Nothing to change: version ${result.version} is as version ${version} was.`)
    case 'planned':
    case 'restored': {
      const kept = result.kept.map(({ object, id, status, why }) => `The ${object} ${id} stays, ${status}: ${why}`)
      const end =
        result.kind === 'planned'
          ? `Dry run: nothing was restored. It would become version ${result.version}; --yes does it.`
          : `Restored version ${version} as version ${result.version}.`
      return done([printChanges(result.changes), ...kept, end].join('\n'))
    }
    default:
      return result satisfies never
  }
}
