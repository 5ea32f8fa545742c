import { createLogLines } from '#platform/log-lines'
import { withTempDir } from '#test-kit'
import { testEventLog } from '../event-log.conformance.ts'
import { openFileLog } from './segment-files.ts'

testEventLog({
  name: 'segment files',
  recordBytesMax: 100_000,
  makePlace: (t) => {
    const directory = withTempDir(t)
    const logLines = createLogLines('test', 'silent')
    return {
      open: (clock) =>
        openFileLog({ directory, logLines, segmentBytes: 20_000, recordBytesMax: 100_000, ...(clock && { clock }) }),
    }
  },
})
