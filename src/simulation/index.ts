export { explainClick } from './explain-click.ts'
export type { Explainer, Explanation, HypotheticalClick } from './explain-click.ts'
