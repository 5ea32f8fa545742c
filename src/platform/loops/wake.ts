/** Lets a loop sleep until there is something to do. A signal that comes while nobody waits is kept, once. */
export type Wake = {
  readonly signal: () => void
  /** Resolves at the next signal, or after `timeoutMs`. */
  readonly wait: (timeoutMs: number) => Promise<void>
}

export function createWake(): Wake {
  let isSignalled = false
  let resume: (() => void) | undefined
  return {
    signal: () => {
      isSignalled = true
      resume?.()
    },
    wait: async (timeoutMs) => {
      if (!isSignalled) await new Promise<void>((resolve) => waitFor(resolve, timeoutMs, (wake) => (resume = wake)))
      isSignalled = false
      resume = undefined
    },
  }
}

function waitFor(resolve: () => void, timeoutMs: number, expose: (wake: () => void) => void): void {
  const timer = setTimeout(resolve, timeoutMs)
  expose(() => {
    clearTimeout(timer)
    resolve()
  })
}
