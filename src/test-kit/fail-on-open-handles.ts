/** Loaded into every test process: one that is still alive some seconds after its last test has left something open. Node
 * would wait for it for ever.
 */
import { after } from 'node:test'

const GRACE_MS = 5_000

after(() => {
  setTimeout(() => {
    process.stderr.write(`A test left something open: ${process.getActiveResourcesInfo().join(', ')}\n`)
    process.exit(1)
  }, GRACE_MS).unref()
})
