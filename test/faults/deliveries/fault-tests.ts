import type { FaultTest } from './fault-test.ts'
import { killSenders } from './t01-kill-senders.ts'
import { zombie } from './t04-zombie.ts'
import { guardsOff } from './t10-guards-off.ts'

/** Every fault test by its number. */
export const faultTests: Readonly<Record<string, FaultTest>> = {
  t1: killSenders,
  t4: zombie,
  t10: guardsOff,
}

/** Those that every change passes. */
export const shortTests: readonly string[] = ['t1', 't4']
