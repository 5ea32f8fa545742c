export { isDrained, PIPELINE_CONSUMER, startPipeline } from './pipeline.ts'
export type { Pipeline, PipelineOptions } from './pipeline.ts'
