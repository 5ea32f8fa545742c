import type { CompiledFlow } from './compile-snapshot.ts'
import type { FlowKind } from './snapshot.ts'

export type FlowsByKind = Readonly<Record<FlowKind, readonly CompiledFlow[]>>

/** In the order of the campaign, so that a click walks over those of one kind alone. */
export const sortByKind = (flows: readonly CompiledFlow[]): FlowsByKind => ({
  forced: flows.filter(({ flow }) => flow.kind === 'forced'),
  regular: flows.filter(({ flow }) => flow.kind === 'regular'),
  default: flows.filter(({ flow }) => flow.kind === 'default'),
})
