import { readdirSync, readFileSync } from 'node:fs'

/** A process and what it takes of the machine's memory. */
export type ProcessMemory = { readonly pid: number; readonly command: string; readonly pss_bytes: number }

/** All processes that descend from `rootPid`, itself included, with their proportional set size: a page that n processes
 * share counts 1/n for each, so the sum is what the machine really gives. Linux only.
 * @see proc_pid_smaps(5)
 */
export function measureProcessTree(rootPid: number): readonly ProcessMemory[] {
  return listProcessTree(rootPid).flatMap((pid) => memoryOf(pid) ?? [])
}

/** Ids of a process and all that descend from it. */
function listProcessTree(rootPid: number): readonly number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid)) continue
    const parent = parentOf(pid)
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const pids: number[] = []
  const waiting = [rootPid]
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    waiting.push(...(children.get(pid) ?? []))
    pids.push(pid)
  }
  return pids
}

/** A process that ends while it is looked at is left out. */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function parentOf(pid: number): number | undefined {
  // The name in parentheses may hold blanks and parentheses itself; what follows the last one is plain numbers.
  const stat = readProc(`/proc/${pid}/stat`)
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
}

function memoryOf(pid: number): ProcessMemory | undefined {
  const rollup = readProc(`/proc/${pid}/smaps_rollup`)
  const kilobytes = rollup === undefined ? null : /^Pss:\s+(\d+) kB/m.exec(rollup)
  if (kilobytes === null) return undefined
  const command = (readProc(`/proc/${pid}/cmdline`) ?? '').split('\0').join(' ').trim()
  return { pid, command: command.slice(0, 120), pss_bytes: Number(kilobytes[1]) * 1024 }
}

/** Clock ticks of /proc in a second; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** Processor time that a process with all its threads has used so far, in microseconds, to 10 ms; undefined where /proc does not
 * tell. Unlike a rate it hardly depends on what else the machine does.
 */
export const processorMicros = (pid: number): number | undefined => sumOfTimes(pid, OWN_TIMES)

/** The same of a process and all that descend from it, those included that have ended: their parent has taken their time over. */
export const processorMicrosOfTree = (rootPid: number): number =>
  listProcessTree(rootPid).reduce((sum, pid) => sum + (sumOfTimes(pid, ALL_TIMES) ?? 0), 0)

/** Places in /proc/<pid>/stat after the name: user and system time of the process, then of its children that have ended. */
const OWN_TIMES = [11, 12]
const ALL_TIMES = [...OWN_TIMES, 13, 14]

function sumOfTimes(pid: number, places: readonly number[]): number | undefined {
  const stat = readProc(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (places.reduce((sum, place) => sum + Number(fields[place]), 0) / TICKS_PER_SECOND) * 1e6
}
