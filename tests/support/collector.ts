/** An OTLP collector that keeps what it is sent. */
import { createServer } from 'node:http';
import { freePort } from './waybill.ts';

export interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  /** 2 is SERVER, 3 is CLIENT. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** The process that it came from. */
  readonly process: string;
}

export interface Collector {
  readonly url: string;
  /** The spans of one trace, as they arrived. */
  ofTrace(traceId: string): Span[];
  close(): void;
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Sent extends Omit<Span, 'attributes' | 'process'> {
  readonly attributes?: readonly Attribute[];
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly Sent[] }[];
  }[];
}

/** Listens on a port of its own. */
export async function startCollector(): Promise<Collector> {
  const spans: Span[] = [];
  const port = await freePort();
  const server = createServer((request, reply) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Export;
      for (const { resource, scopeSpans } of body.resourceSpans) {
        const process = String(named(resource.attributes)['service.name']);
        for (const span of scopeSpans.flatMap((scope) => scope.spans))
          spans.push({ ...span, process, attributes: named(span.attributes ?? []) });
      }
      reply.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${port}`,
    ofTrace: (traceId) => spans.filter((span) => span.traceId === traceId),
    close: () => server.close().closeAllConnections(),
  };
}

function named(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
