/**
 * Metrics (Prometheus) and traces (OpenTelemetry). Traces cost nothing until
 * OTEL_EXPORTER_OTLP_ENDPOINT is set: the SDK is loaded only then, and the API's no-op otherwise.
 */
import {
  context,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
  type Span,
} from '@opentelemetry/api';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export const registry = new Registry();

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Starts Node's own process metrics; the long-running command does it once. */
export function collectProcessMetrics(): void {
  collectDefaultMetrics({ register: registry, prefix: 'waybill_' });
}

export function counter<Label extends string>(
  name: string,
  help: string,
  labels: readonly Label[],
) {
  const known = registry.getSingleMetric(name);
  if (known !== undefined) return known as Counter<Label>;
  return new Counter<Label>({ name, help, labelNames: [...labels], registers: [registry] });
}

export function gauge<Label extends string>(name: string, help: string, labels: readonly Label[]) {
  const known = registry.getSingleMetric(name);
  if (known !== undefined) return known as Gauge<Label>;
  return new Gauge<Label>({ name, help, labelNames: [...labels], registers: [registry] });
}

export function histogram<Label extends string>(
  name: string,
  help: string,
  labels: readonly Label[],
) {
  const known = registry.getSingleMetric(name);
  if (known !== undefined) return known as Histogram<Label>;
  return new Histogram<Label>({
    name,
    help,
    labelNames: [...labels],
    buckets: SECONDS,
    registers: [registry],
  });
}

let tracing = false;

/** Starts exporting spans over OTLP/HTTP. Returns the function that flushes and stops. */
export async function startTracing(
  endpoint: string,
  service: string,
): Promise<() => Promise<void>> {
  const [exporter, sdk, resources, hooks, core] = await Promise.all([
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/context-async-hooks'),
    import('@opentelemetry/core'),
  ]);
  const provider = new sdk.TracerProvider({
    resource: resources.resourceFromAttributes({ 'service.name': service }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: new exporter.OTLPTraceExporter({
          url: `${endpoint.replace(/\/$/, '')}/v1/traces`,
        }),
        scheduledDelayMillis: 1000,
      }),
    ],
  });
  context.setGlobalContextManager(new hooks.AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new core.W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  tracing = true;
  return () => provider.shutdown();
}

/** Whether spans are exported. */
export function isTracing(): boolean {
  return tracing;
}

export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** Runs the work in a span when tracing is on; calls it directly when off. */
export async function inSpan<Result>(
  name: string,
  kind: keyof typeof SpanKind,
  attributes: Attributes,
  work: () => Promise<Result>,
  parent?: string,
): Promise<Result> {
  if (!tracing) return work();
  const from =
    parent === undefined
      ? context.active()
      : propagation.extract(context.active(), { traceparent: parent });
  const tracer = trace.getTracer('waybill');
  return tracer.startActiveSpan(
    name,
    { kind: SpanKind[kind], attributes },
    from,
    async (span: Span) => {
      try {
        return await work();
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message });
        throw error;
      } finally {
        span.end();
      }
    },
  );
}

/** The W3C traceparent of the span in progress, to travel with a call or an event. */
export function currentTraceparent(): string | undefined {
  if (!tracing) return undefined;
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** A span that ends where a callback says so; for hooks, which wrap nothing. */
export interface OpenSpan {
  readonly traceparent: string;
  /** Runs the work inside, so that what it logs and calls belongs to it. */
  run(work: () => void): void;
  end(attributes: Attributes, failed: boolean): void;
}

/** Begins a span; only while tracing is on. */
export function openSpan(
  name: string,
  kind: keyof typeof SpanKind,
  attributes: Attributes,
  parent: string | undefined,
): OpenSpan {
  const from = propagation.extract(context.active(), { traceparent: parent });
  const options = { kind: SpanKind[kind], attributes };
  const span = trace.getTracer('waybill').startSpan(name, options, from);
  const inside = trace.setSpan(from, span);
  const carrier: { traceparent?: string } = {};
  propagation.inject(inside, carrier);
  return {
    traceparent: carrier.traceparent ?? '',
    run: (work) => context.with(inside, work),
    end(more, failed) {
      span.setAttributes(more);
      if (failed) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    },
  };
}

/** The trace that a W3C traceparent names. */
export function traceIdOf(traceparent: unknown): string | undefined {
  if (typeof traceparent !== 'string') return undefined;
  return /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}$/.exec(traceparent)?.[1];
}
