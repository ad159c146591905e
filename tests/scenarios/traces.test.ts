/** One order is one trace: from the request through orders and payments to its confirmation. */
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort, startWaybill, until, type WaybillProcess } from '../support/waybill.ts';

interface Span {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
}

const spans: Span[] = [];
let collector: Server;
let waybill: WaybillProcess;

beforeAll(async () => {
  const port = await freePort();
  collector = createServer((request, reply) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as {
        resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
      };
      for (const resource of body.resourceSpans)
        for (const scope of resource.scopeSpans) spans.push(...scope.spans);
      reply.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((done) => collector.listen(port, '127.0.0.1', done));
  waybill = await startWaybill({
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      PAYMENT_MOCK_SUCCESS_RATE: '1',
      LOG_LEVEL: 'debug',
    },
  });
});

afterAll(async () => {
  await waybill?.stop();
  collector?.close();
});

it('joins request, event, charge and confirmation in the trace that the client began', async () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const reply = await fetch(`${waybill.url}/api/v1/orders`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
    },
    body: JSON.stringify({
      customer_id: 'traced',
      items: [{ item_id: 'a', item_name: 'A', quantity: 1, price: 5 }],
    }),
  });
  expect(reply.status).toBe(202);
  const named = () => spans.filter((span) => span.traceId === traceId).map((span) => span.name);
  await until(() => named().includes('handle PAYMENT_CAPTURED'), 15_000);
  expect(named()).toEqual(
    expect.arrayContaining([
      'POST /api/v1/orders',
      'handle ORDER_CREATED',
      'payments.charge',
      'POST sandbox',
      'handle PAYMENT_STARTED',
      'handle PAYMENT_CAPTURED',
    ]),
  );
  const ids = new Set(spans.map((span) => span.spanId));
  const root = spans.find((span) => span.name === 'POST /api/v1/orders');
  expect(root?.parentSpanId).toBe('00f067aa0ba902b7');
  for (const span of spans.filter((one) => one.traceId === traceId && one !== root))
    expect(ids.has(span.parentSpanId ?? '')).toBe(true);
});
