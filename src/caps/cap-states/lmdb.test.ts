import { join } from 'node:path'
import { withTempDir } from '#test-kit'
import { testCapCounters } from '../cap-state.conformance.ts'
import { openLmdbCapState } from './lmdb.ts'

testCapCounters({
  name: 'LMDB',
  open: (t) => {
    const state = openLmdbCapState({ directory: join(withTempDir(t), 'caps') })
    t.after(() => state.close())
    return state
  },
})
