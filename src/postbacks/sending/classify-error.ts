import type { AttemptError } from '../reasons.ts'

/** A connection that the guard did not allow. */
export class DestinationRefused extends Error {
  readonly code = 'DESTINATION_REFUSED'
  /** @param address what the name resolved to */
  constructor(address: string) {
    super(`address ${address} is not allowed`)
    this.name = 'DestinationRefused'
  }
}

/** Our own way out failed: that says nothing about the receiver. */
export class ProxyFailed extends Error {
  readonly code = 'PROXY_FAILED'
  /** @param why without the proxy's address, which may hold a password */
  constructor(why: string) {
    super(`the proxy: ${why}`)
    this.name = 'ProxyFailed'
  }
}

const byCode: Readonly<Record<string, AttemptError>> = {
  DESTINATION_REFUSED: 'destination_refused',
  PROXY_FAILED: 'proxy_error',
  ECONNREFUSED: 'connection_refused',
  ECONNRESET: 'connection_reset',
  EPIPE: 'connection_reset',
  UND_ERR_SOCKET: 'connection_reset',
  ENOTFOUND: 'dns_error',
  ENODATA: 'dns_error',
  EAI_AGAIN: 'dns_error',
  EAI_FAIL: 'dns_error',
  ESERVFAIL: 'dns_error',
  EREFUSED: 'dns_error',
  ETIMEOUT: 'dns_error',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  EHOSTUNREACH: 'network_unreachable',
  ENETUNREACH: 'network_unreachable',
  EADDRNOTAVAIL: 'network_unreachable',
  EPROTO: 'tls_error',
  HTTPParserError: 'protocol_error',
  UND_ERR_HEADERS_OVERFLOW: 'protocol_error',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'protocol_error',
}

const TLS_CODES = /^(?:ERR_SSL|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|INVALID_CA)/

/** The class of a failure, from the code of the error or of what it wraps. */
export function classifyError(error: unknown): AttemptError {
  if (!(error instanceof Error)) return 'network_error'
  // Happy eyeballs: each address failed on its own; the first tells enough.
  if (error instanceof AggregateError && error.errors.length > 0) return classifyError(error.errors[0])
  // undici's parser errors have a name and, for most mistakes, no code.
  const code = (error as NodeJS.ErrnoException).code ?? error.name
  const known = byCode[code]
  if (known !== undefined) return known
  if (code.startsWith('HPE_')) return 'protocol_error'
  if (TLS_CODES.test(code)) return 'tls_error'
  return error.cause === undefined ? 'network_error' : classifyError(error.cause)
}
