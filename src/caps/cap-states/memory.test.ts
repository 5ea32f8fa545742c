import { testCapCounters } from '../cap-state.conformance.ts'
import { createMemoryCaps } from './memory.ts'

testCapCounters({ name: 'memory', open: () => createMemoryCaps() })
