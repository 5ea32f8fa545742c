import { mkdirSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'

/** Profiles this process from here on.
 * @returns ends the profile and writes it to a .cpuprofile in the directory, which Chrome's developer tools open
 */
export async function startProfile(directory: string): Promise<() => Promise<void>> {
  mkdirSync(directory, { recursive: true })
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.start')
  return async () => {
    const { profile } = await session.post('Profiler.stop')
    session.disconnect()
    writeFileSync(join(directory, `deliveries-${process.pid}-${Date.now()}.cpuprofile`), JSON.stringify(profile))
  }
}
