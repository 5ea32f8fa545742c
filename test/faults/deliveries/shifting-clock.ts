/** Preloaded into a worker: its wall clock can be set from outside, as by an administrator or a time server gone wrong. The monotonic
 * clock goes on as it was.
 */
const RealDate = Date
let shiftMs = 0

class ShiftedDate extends RealDate {
  constructor(...given: readonly unknown[]) {
    if (given.length === 0) super(ShiftedDate.now())
    else super(...(given as [number]))
  }

  static override now(): number {
    return RealDate.now() + shiftMs
  }
}

globalThis.Date = ShiftedDate as DateConstructor
process.on('message', (message: { readonly name: string; readonly shiftMs?: number }) => {
  if (message.name === 'set clock') shiftMs = message.shiftMs ?? 0
})
// Listening for it must not keep a process that has ended alive.
process.channel?.unref()
