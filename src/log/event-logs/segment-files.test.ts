import { createLogLines } from '#platform/log-lines'
import { withDiskDir } from '#test-kit'
import { testEventLog } from '../event-log.conformance.ts'
import { openFileLog } from './segment-files.ts'

const logLines = createLogLines('test', 'silent')
const LIMITS = { segmentBytes: 20_000, recordBytesMax: 100_000 }

for (const directIo of ['where_possible', 'never'] as const) {
  testEventLog({
    name: `segment files, direct access ${directIo.replace('_', ' ')}`,
    recordBytesMax: LIMITS.recordBytesMax,
    makePlace: (t) => {
      const directory = withDiskDir(t)
      return { open: (clock) => openFileLog({ directory, logLines, directIo, ...LIMITS, ...(clock && { clock }) }) }
    },
  })
}
