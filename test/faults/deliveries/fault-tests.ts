import type { FaultTest } from './fault-test.ts'
import { killSenders } from './t01-kill-senders.ts'
import { postgresFaults } from './t02-postgres.ts'
import { openTransaction } from './t03-open-transaction.ts'
import { zombie } from './t04-zombie.ts'
import { badReceiverMatrix } from './t05-bad-receivers.ts'
import { ssrfMatrix } from './t06-ssrf.ts'
import { noisyNeighbour } from './t07-noisy-neighbour.ts'
import { herd } from './t08-herd.ts'
import { simulation } from './t09-simulation.ts'
import { guardsOff } from './t10-guards-off.ts'
import { clockJumps } from './t11-clock.ts'
import { soak } from './t12-soak.ts'
import { upgrade } from './t13-upgrade.ts'
import { reconciliation } from './t14-reconciliation.ts'

/** Every fault test by its number. */
export const faultTests: Readonly<Record<string, FaultTest>> = {
  t1: killSenders,
  t2: postgresFaults,
  t3: openTransaction,
  t4: zombie,
  t5: badReceiverMatrix,
  t6: ssrfMatrix,
  t7: noisyNeighbour,
  t8: herd,
  t9: simulation,
  t10: guardsOff,
  t11: clockJumps,
  t12: soak,
  t13: upgrade,
  t14: reconciliation,
}

/** Those that every change passes. */
export const shortTests: Readonly<Record<'alone' | 'together', readonly string[]>> = {
  alone: ['t5', 't6'],
  together: ['t1', 't4', 't14'],
}
