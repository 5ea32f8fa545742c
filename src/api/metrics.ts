import type { FastifyInstance } from 'fastify'
import { Histogram, Registry } from 'prom-client'

const BUCKETS_SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Counts and times the API's requests by route, never by address: ids in addresses would make a series each. */
export function addRequestMetrics(server: FastifyInstance): Registry {
  const registry = new Registry()
  const seconds = new Histogram({
    name: 'waypost_api_request_seconds',
    help: 'Duration of API requests by route and status.',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS_SECONDS,
    registers: [registry],
  })
  server.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown'
    seconds.observe({ method: request.method, route, status: String(reply.statusCode) }, reply.elapsedTime / 1_000)
  })
  return registry
}
