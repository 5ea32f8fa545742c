import type { AddressInfo } from 'node:net'

import fastifySwagger from '@fastify/swagger'
import { fastify, type FastifyInstance } from 'fastify'

import type { Config } from '#config'
import type { Enricher } from '#enrichment'

import type { Api } from './api.ts'
import { addAuthorization } from './authorize.ts'
import { buildValidators } from './build-validators.ts'
import { addErrorAnswers, answerFrameworkError, errorSchema, refuseUnasked } from './errors.ts'
import { apiLimits, type ApiLimits } from './limits.ts'
import { addRequestMetrics } from './metrics.ts'
import { addApiKeyRoutes } from './routes/api-keys.ts'
import { addCapRoutes } from './routes/caps.ts'
import { addAnomalyRoute } from './routes/anomalies.ts'
import { addBehaviourRoutes } from './routes/behaviour.ts'
import { addClickRoutes } from './routes/clicks.ts'
import { addConfigurationRoutes } from './routes/configuration.ts'
import { addConfigurationVersionRoutes } from './routes/configuration-versions.ts'
import { addConversionRoutes } from './routes/conversions.ts'
import { addCustomMetricRoutes } from './routes/custom-metrics.ts'
import { addCostRoutes } from './routes/costs.ts'
import { addDeliveryRoutes } from './routes/deliveries.ts'
import { addEndpointPageRoutes } from './routes/endpoint-pages.ts'
import { addPostbackTemplateRoutes } from './routes/postback-templates.ts'
import { addEndpointRoutes } from './routes/endpoints.ts'
import { addExplainRoute } from './routes/explain.ts'
import { addInboundPostbackRoutes } from './routes/inbound-postbacks.ts'
import { addExportRoutes } from './routes/exports.ts'
import { addOperationRoutes } from './routes/operations.ts'
import { addFraudRoutes } from './routes/fraud.ts'
import { addLiveRoute } from './routes/live.ts'
import { addJobRoutes } from './routes/jobs.ts'
import { addLogRoutes } from './routes/logs.ts'
import { addNoticeRoutes } from './routes/notices.ts'
import { addOptimizationRoutes } from './routes/optimization.ts'
import { addPauseRoutes } from './routes/pauses.ts'
import { addPublicRoutes } from './routes/public.ts'
import { addRateRoutes } from './routes/rates.ts'
import { addReplayRoutes } from './routes/replays.ts'
import { addReportRoutes } from './routes/reports.ts'
import { addReportScheduleRoutes } from './routes/report-schedules.ts'
import { addSavedReportRoutes } from './routes/saved-reports.ts'
import { addRetentionRoutes } from './routes/retention.ts'
import { addSimulateRoute } from './routes/simulate.ts'
import { addTestRuleRoute } from './routes/test-rule.ts'

export type ApiOptions = Omit<
  Api,
  | ('registry' | 'edgePort' | 'sub2AllowedKeys' | 'caps' | 'queueLengths' | 'operations' | 'metrics')
  | ('retention' | 'exportsDirectory')
> & {
  /** Left out: exports are refused. */
  readonly exportsDirectory?: Api['exportsDirectory']
  readonly config: Pick<Config, 'apiHost' | 'apiPort' | 'edgePort' | 'sub2AllowedKeys'>
  /** Left out: explanations take caps to have room. */
  readonly caps?: Api['caps']
  /** Left out: counted for each question. */
  readonly queueLengths?: Api['queueLengths']
  /** Checks of the installation that this process can make; the others answer 503. */
  readonly operations?: Api['operations']
  /** Further metrics of this process for GET /metrics, in the text format of Prometheus. */
  readonly metrics?: Api['metrics']
  /** Left out: raw facts are kept for ever. */
  readonly retention?: Api['retention']
  /** For tests; production uses apiLimits. */
  readonly limits?: Partial<ApiLimits>
}

export type RunningApi = {
  readonly port: number
  /** Takes no more connections and answers what is under way. */
  readonly stop: () => Promise<void>
}

/** Starts the HTTP API. It stays up while PostgreSQL or ClickHouse is down and answers 503 with the code that says which.
 * @throws {Error} EADDRINUSE and the like
 */
export async function startApi(options: ApiOptions): Promise<RunningApi> {
  const server = await createApi(options)
  await server.listen({ host: options.config.apiHost, port: options.config.apiPort })
  return {
    port: (server.server.address() as AddressInfo).port,
    stop: () => stop(server, { ...apiLimits, ...options.limits }),
  }
}

const KEPT_FOR_EVER: Api['retention'] = {
  places: { directory: undefined, s3: undefined },
  byDefault: { rawDays: undefined, archive: 'none' },
}

/** The API without a port, ready for `inject`. */
export async function createApi({
  config,
  caps,
  openEnricher,
  queueLengths = () => undefined,
  exportsDirectory,
  operations = {},
  metrics = [],
  retention = KEPT_FOR_EVER,
  limits: changed,
  ...rest
}: ApiOptions): Promise<FastifyInstance> {
  const limits = { ...apiLimits, ...changed }
  const server = createServer(limits)
  let enricher: Enricher | undefined
  const api: Api = {
    ...rest,
    openEnricher: () => (enricher ??= openEnricher()),
    edgePort: config.edgePort,
    sub2AllowedKeys: new Set(config.sub2AllowedKeys),
    caps,
    queueLengths,
    exportsDirectory,
    operations,
    metrics,
    retention,
    registry: addRequestMetrics(server),
  }
  addErrorAnswers(server, api.logLines)
  addAuthorization(server, api, limits)
  refuseUnasked(server)
  await addDescription(server)
  server.register(async (scope) => {
    addPublicRoutes(scope, api)
    addReportRoutes(scope, api)
    addRetentionRoutes(scope, api)
    addCustomMetricRoutes(scope, api)
    addBehaviourRoutes(scope, api)
    addAnomalyRoute(scope, api)
    addLiveRoute(scope, api)
    addSavedReportRoutes(scope, api)
    addReportScheduleRoutes(scope, api)
    addCostRoutes(scope, api)
    addRateRoutes(scope, api)
    addJobRoutes(scope, api)
    addLogRoutes(scope, api)
    addExportRoutes(scope, api)
    addClickRoutes(scope, api)
    addConversionRoutes(scope, api)
    addCapRoutes(scope, api)
    addInboundPostbackRoutes(scope, api)
    addDeliveryRoutes(scope, api)
    addEndpointPageRoutes(scope, api)
    addReplayRoutes(scope, api)
    addPostbackTemplateRoutes(scope)
    addEndpointRoutes(scope, api)
    addPauseRoutes(scope, api)
    addNoticeRoutes(scope, api)
    addConfigurationRoutes(scope, api)
    addConfigurationVersionRoutes(scope, api)
    addExplainRoute(scope, api)
    addSimulateRoute(scope, api, limits)
    addTestRuleRoute(scope, api)
    addOptimizationRoutes(scope, api)
    addFraudRoutes(scope, api)
    addApiKeyRoutes(scope, api)
    addOperationRoutes(scope, api)
    scope.get('/openapi.json', { schema: { hide: true } }, () => server.swagger())
  })
  await server.ready()
  return server
}

function createServer(limits: ApiLimits): FastifyInstance {
  const server = fastify({
    logger: false,
    // Raised before any route is found, so that the error handler never sees them.
    frameworkErrors: (error, _request, reply) => void answerFrameworkError(error, reply),
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    forceCloseConnections: 'idle',
    http: { maxHeaderSize: limits.headerBytesMax },
    // A parameter that is not known is a mistake of the caller, who would else believe in a filter that is not there.
    ajv: {
      customOptions: {
        ...{ removeAdditional: false, coerceTypes: 'array', allErrors: false, strict: false },
        // Making the code of hundreds of filters shorter takes longer than it ever saves.
        code: { optimize: false },
      },
    },
    schemaController: { compilersFactory: { buildValidator: buildValidators() } },
    routerOptions: { maxParamLength: 255 },
  })
  server.server.maxConnections = limits.connectionsMax
  server.addSchema(errorSchema)
  server.addHook('onSend', async (_request, reply) => {
    reply.header('X-Content-Type-Options', 'nosniff').header('Cache-Control', 'no-store')
    reply.header('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
  })
  return server
}

async function addDescription(server: FastifyInstance): Promise<void> {
  await server.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Waypost API',
        version: '1',
        description:
          'Reports, clicks, conversions, postbacks and configuration of one installation. docs/api.md has the rules.',
      },
      components: { securitySchemes: { api_key: { type: 'http', scheme: 'bearer', description: 'An API key' } } },
      security: [{ api_key: [] }],
    },
  })
}

async function stop(server: FastifyInstance, limits: ApiLimits): Promise<void> {
  const cutOff = setTimeout(() => server.server.closeAllConnections(), limits.drainTimeoutMs)
  await server.close()
  clearTimeout(cutOff)
}
