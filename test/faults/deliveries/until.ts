import { setTimeout as delay } from 'node:timers/promises'

/** @returns whether it happened in time */
export async function until(condition: () => boolean | Promise<boolean>, secondsMax: number): Promise<boolean> {
  for (const end = performance.now() + secondsMax * 1000; ;) {
    if (await condition()) return true
    if (performance.now() > end) return false
    await delay(50)
  }
}
