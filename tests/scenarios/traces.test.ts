/**
 * One order is one trace, in every topology: an accepted one from the gateway through orders and
 * payments to its confirmation, a checkout through all who take part in it. What is logged on the
 * way names the trace.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCollector, type Collector, type Span } from '../support/collector.ts';
import { until } from '../support/waybill.ts';
import { startApart, startTogether, type Platform } from './topologies.ts';

type Settings = Readonly<Record<string, string>>;

const services = ['orders', 'payments', 'auth', 'billing', 'customers', 'notifications'];

const topologies: Readonly<Record<string, (settings: Settings) => Promise<Platform>>> = {
  'in one process': startTogether,
  'with services apart': (settings) => startApart({ services, settings }),
};

const CLIENT_SPAN = '00f067aa0ba902b7';
const SERVER = 2;

describe.each(Object.entries(topologies))('%s', (topology, start) => {
  let collector: Collector;
  let platform: Platform;

  beforeAll(async () => {
    collector = await startCollector();
    platform = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, LOG_LEVEL: 'debug' });
  });
  afterAll(async () => {
    await platform?.stop();
    collector?.close();
  });

  /** Sends a request of a client who has begun a trace. */
  async function send(path: string, body: unknown, headers = {}) {
    const traceId = randomBytes(16).toString('hex');
    const reply = await fetch(platform.url + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        traceparent: `00-${traceId}-${CLIENT_SPAN}-01`,
        ...headers,
      },
      body: JSON.stringify(body),
    });
    return { traceId, status: reply.status, body: (await reply.json()) as { status?: string } };
  }

  /** What a span is, with the service whose it is. */
  const titles = (traceId: string) => collector.ofTrace(traceId).map(titleOf);

  async function expectWhole(traceId: string): Promise<void> {
    const faults = () => faultsOf(collector.ofTrace(traceId));
    await expect.poll(faults, { timeout: 10_000 }).toEqual([]);
  }

  /** Log lines that name the trace. */
  const logged = (traceId: string) =>
    platform
      .output()
      .split('\n')
      .filter((line) => line.includes(`"trace_id":"${traceId}"`));

  const STEPS = [
    'orders: POST /api/v1/orders',
    'handle ORDER_CREATED',
    'payments.charge',
    'POST sandbox',
    'handle PAYMENT_STARTED',
    'handle PAYMENT_CAPTURED',
  ];

  async function expectSteps(traceId: string, steps: readonly string[]): Promise<void> {
    const missing = () => steps.filter((step) => !titles(traceId).includes(step));
    await expect.poll(missing, { timeout: 20_000 }).toEqual([]);
    await expectWhole(traceId);
  }

  const place = (more = {}) => {
    const items = [{ item_id: 'a', item_name: 'A', quantity: 1, price: 5 }];
    return send('/api/v1/orders', { customer_id: 'traced', items, ...more });
  };

  test('an order joins request, event, charge and confirmation', async () => {
    const { traceId, status } = await place();
    expect(status).toBe(202);
    await expectSteps(traceId, STEPS);
    const processes = new Set(collector.ofTrace(traceId).map((span) => span.process));
    expect([...processes].toSorted()).toEqual(
      topology === 'in one process'
        ? ['waybill']
        : ['waybill-gateway', 'waybill-orders', 'waybill-payments'],
    );
  });

  test('a charge whose answer is lost is told by a callback, in the same trace', async () => {
    const payment = { method: 'card', token: 'tok_timeout_after_charge' };
    const { traceId, status } = await place({ payment });
    expect(status).toBe(202);
    await expectSteps(traceId, [...STEPS, 'payments: POST /api/v1/payments/callbacks']);
  });

  test('a checkout joins all who take part in it', async () => {
    const username = `ada-${Date.now().toString(36)}`;
    const contact = { email: `${username}@example.org`, phone: '+4915112345678' };
    const registration = { username, ...contact, password: 'correct horse battery staple' };
    expect((await send('/api/v1/auth/register', registration)).status).toBe(201);
    const deposit = { type: 'DEPOSIT', amount: 150, account: { username } };
    expect((await send('/api/v1/billing/account/operate', deposit)).status).toBe(200);
    const orderPositions = [{ productId: 'sku-1', price: 19, quantity: 1 }];
    const order = { username, shopId: 1, totalCost: 19, orderPositions };
    const { traceId, status, body } = await send('/api/v1/order', order);
    expect([status, body.status]).toEqual([200, 'PAID']);
    const involved = () =>
      new Set(collector.ofTrace(traceId).map((span) => span.attributes['service.name']));
    const parts = ['gateway', 'orders', 'payments', 'billing', 'customers', 'notifications'];
    const missing = () => parts.filter((service) => !involved().has(service));
    await expect.poll(missing, { timeout: 20_000 }).toEqual([]);
    await expectWhole(traceId);
    if (topology === 'in one process') return;
    const processes = new Set(collector.ofTrace(traceId).map((span) => span.process));
    expect(processes).toEqual(new Set(parts.map((service) => `waybill-${service}`)));
  });

  test('what is refused is logged with its trace, wherever it was refused', async () => {
    const bad = await send('/api/v1/orders', { customer_id: 'traced', items: [] });
    expect(bad.status).toBe(422);
    const stranger = await send('/api/v1/orders', {}, { authorization: 'Bearer a.b.c' });
    expect(stranger.status).toBe(401);
    for (const { traceId } of [bad, stranger]) {
      await until(() => logged(traceId).some((line) => line.includes('"msg":"refused"')), 5000);
      await expectWhole(traceId);
    }
    const spans = collector.ofTrace(stranger.traceId);
    expect(spans.map((span) => span.attributes['http.response.status_code'])).toEqual([401]);
  });
});

function titleOf({ name, attributes }: Span): string {
  const service = attributes['service.name'];
  return typeof service === 'string' ? `${service}: ${name}` : name;
}

/**
 * What is wrong with a trace: the gateway's span is the first, below the client's, and every other
 * one hangs below one of them. Spans come in their own time, each process's apart.
 */
function faultsOf(spans: readonly Span[]): string[] {
  const [first, ...others] = spans.filter((span) => span.parentSpanId === CLIENT_SPAN);
  const ids = new Set(spans.map((span) => span.spanId));
  const orphans = spans.filter((span) => span !== first && !ids.has(span.parentSpanId ?? ''));
  const entered = first?.attributes['service.name'] === 'gateway' && first.kind === SERVER;
  return [
    ...(entered ? [] : [`the first span is ${first === undefined ? 'none' : titleOf(first)}`]),
    ...others.map((span) => `${titleOf(span)} is a second beginning`),
    ...orphans.map((span) => `${titleOf(span)} hangs below nothing`),
  ];
}
