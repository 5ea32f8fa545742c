import { readFileSync, rmSync, writeFileSync } from 'node:fs'

/** A process as it can be recognised later: the id alone may have been given to another one since. */
export type ProcessMark = { readonly pid: number; readonly startedAt: string }

/** The mark of a running process; undefined when there is none with this id.
 * `startedAt` is the start time in clock ticks since boot from /proc, empty on systems without it.
 */
export function markOf(pid: number): ProcessMark | undefined {
  if (!isRunning(pid)) return undefined
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    // A zombie has ended already; only its parent has not asked for the exit code yet.
    return fields[0] === 'Z' ? undefined : { pid, startedAt: fields[19]! }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    return isRunning(pid) ? { pid, startedAt: '' } : undefined
  }
}

/** Whether exactly this process is still running. */
export function isStillRunning(mark: ProcessMark): boolean {
  return markOf(mark.pid)?.startedAt === mark.startedAt
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Holds a file as the sign that this process works here. A file left by a killed process is taken over.
 * @returns `held` with the function that gives it back, or `busy` with the process that holds it
 */
export function holdPidFile(
  path: string,
): { readonly kind: 'held'; readonly release: () => void } | { readonly kind: 'busy'; readonly by: ProcessMark } {
  const own = JSON.stringify(markOf(process.pid))
  // Twice: once more after a left-over file is gone. A third party that takes the file in between is the holder.
  for (let attempt = 1; attempt <= 2; attempt++) {
    try {
      writeFileSync(path, own, { flag: 'wx', mode: 0o600 })
      return { kind: 'held', release: () => rmSync(path, { force: true }) }
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    }
    const holder = pidFileHolder(path)
    if (holder !== undefined) return { kind: 'busy', by: holder }
    rmSync(path, { force: true })
  }
  return { kind: 'busy', by: readMark(path) ?? { pid: 0, startedAt: '' } }
}

/** The live process that holds the file; undefined when none does. */
export function pidFileHolder(path: string): ProcessMark | undefined {
  const mark = readMark(path)
  return mark !== undefined && isStillRunning(mark) ? mark : undefined
}

function readMark(path: string): ProcessMark | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessMark
  } catch (cause) {
    // Gone or half written: either way no process holds it.
    if (cause instanceof SyntaxError || (cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
}
