export { applyFile } from './apply-file.ts'
export { parseRoles, roles } from './roles.ts'
export type { Role } from './roles.ts'
export { serve } from './serve.ts'
