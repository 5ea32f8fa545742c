import { totalmem } from 'node:os'

/** Memory of the machine, or of the container that this process is in. */
export function memoryBytes(): number {
  const ofContainer = process.constrainedMemory()
  return ofContainer > 0 ? Math.min(totalmem(), ofContainer) : totalmem()
}
