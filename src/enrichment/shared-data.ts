import { existsSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** Test data that no one of this project wrote, beside the repository; see its README. */
const FOLDER = new URL('../../../shared/data/', import.meta.url)

/** Options of a test that needs the data: skipped with a message where they are absent. */
export const needsSharedData = existsSync(FOLDER) ? {} : { skip: 'the folder ../shared/data is absent' }

export const sharedFile = (path: string): URL => new URL(path, FOLDER)

/** MaxMind's list of a test database: one object per network, in the order of insertion. */
export function readNetworks<Record>(name: string): readonly (readonly [network: string, record: Record])[] {
  const entries = JSON.parse(readFileSync(sharedFile(`geoip/${name}.json`), 'utf8')) as readonly {
    [key: string]: Record
  }[]
  return entries.flatMap((entry) => Object.entries(entry))
}

/** A test case of uap-core; parts of the version that are not there are null. */
export type UserAgentCase = {
  readonly user_agent_string: string
  readonly family: string
  readonly major: string | null
  readonly minor: string | null
  readonly patch: string | null
}

export function readUserAgentCases(name: 'browsers' | 'operating-systems'): readonly UserAgentCase[] {
  const file = parse(readFileSync(sharedFile(`user-agents/${name}.yaml`), 'utf8'), { schema: 'failsafe' }) as {
    readonly test_cases: readonly UserAgentCase[]
  }
  return file.test_cases
}

/** User agents of crawlers by monperrus/crawler-user-agents. */
export function readCrawlers(): readonly string[] {
  const entries = JSON.parse(readFileSync(sharedFile('user-agents/crawlers.json'), 'utf8')) as readonly {
    readonly instances: readonly string[]
  }[]
  return entries.flatMap(({ instances }) => instances)
}
