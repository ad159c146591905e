/** Structured logs on stdout (pino). Secrets, tokens and contact data are redacted by name. */
import { pino, type Logger } from 'pino';
import { trace } from '@opentelemetry/api';

export type { Logger };

const SECRETS = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'token',
  'access_token',
  'refresh_token',
  'accessToken',
  'refreshToken',
  'waybill-identity',
  'idempotency-key',
  'email',
  'phone',
];

/** The process's logger. Every line carries the trace id of the span it was written in. */
export function openLogger(level: string): Logger {
  return pino({
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: {
      paths: SECRETS.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]),
      censor: '[redacted]',
    },
    mixin() {
      const span = trace.getActiveSpan()?.spanContext();
      return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };
    },
  });
}
