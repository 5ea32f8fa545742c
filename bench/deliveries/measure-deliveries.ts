import type { Figure, RowName } from '../rows.ts'
import type { BenchSettings } from '../run.ts'
import { measureBacklog, measureXmin } from './measure-claims.ts'
import { measureIsolation, measureLatency } from './measure-latency.ts'
import { measurePlain, measureTls } from './measure-throughput.ts'
import { openDeliverySite } from './site.ts'

/** The rows of the delivery engine, beside durable queues from npm and beside a direct POST. */
export async function measureDeliveries(
  settings: BenchSettings,
  isWanted: (name: RowName) => boolean,
  keep: (name: RowName, figure: Figure) => void,
): Promise<void> {
  await using site = await openDeliverySite()
  if (isWanted('deliveries') || isWanted('deliveries_direct')) {
    const { ofBestPeer, ofDirect } = await measurePlain(site, settings)
    keep('deliveries', ofBestPeer)
    keep('deliveries_direct', ofDirect)
  }
  if (isWanted('deliveries_tls')) keep('deliveries_tls', await measureTls(site, settings))
  if (isWanted('delivery_latency') || isWanted('delivery_latency_p50')) {
    const { p50, p99 } = await measureLatency(site, settings)
    keep('delivery_latency_p50', p50)
    keep('delivery_latency', p99)
  }
  if (isWanted('delivery_isolation')) keep('delivery_isolation', await measureIsolation(site, settings))
  if (isWanted('delivery_xmin')) keep('delivery_xmin', await measureXmin(site, settings))
  if (isWanted('delivery_backlog')) keep('delivery_backlog', await measureBacklog(site, settings))
}
