/** The running command as the attacks see it, and what every refusal must look like. */
import { afterAll, beforeAll, expect } from 'vitest';
import { startWaybill, type WaybillProcess } from '../support/waybill.ts';
import { ask, LEAKS, sendRaw, type Answer, type Sent } from './wire.ts';

/** Asserts a refusal as RFC 9457 asks, with its status, code and pointers, telling nothing else. */
export function expectRefusal(
  answer: Answer,
  status: number,
  code: string,
  pointers?: readonly string[],
): void {
  const shown = answer.text.slice(0, 500);
  expect(answer.status, shown).toBe(status);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json(;|$)/);
  expect(answer.json, shown).toMatchObject({ status, code, type: `urn:waybill:problem:${code}` });
  expect(answer.json['request_id']).toMatch(/^[\w-]+$/);
  expect(shown).not.toMatch(LEAKS);
  if (pointers === undefined) return;
  const faults = (answer.json['errors'] ?? []) as { pointer: string }[];
  // One place may break two rules.
  const places = [...new Set(faults.map(({ pointer }) => pointer))];
  expect(places, shown).toEqual(pointers);
}

/** The command, started once for the file with everything it brings along. */
export function startOnce(env: Readonly<Record<string, string>> = {}) {
  let running: WaybillProcess | undefined;
  const target = {
    get process(): WaybillProcess {
      if (running === undefined) throw new Error('the tests have not begun');
      return running;
    },
    ask: (sent: Sent) => ask(target.process.url, sent),
    order: (body: unknown, headers: Sent['headers'] = {}) =>
      ask(target.process.url, { path: '/api/v1/orders', method: 'POST', headers, body }),
    raw: (bytes: string | Buffer, patienceMs?: number) =>
      sendRaw(target.process.port, bytes, patienceMs),
    /** How many orders there are. */
    async count(): Promise<number> {
      const answer = await ask(target.process.url, { path: '/api/v1/orders?page_size=1' });
      return answer.json['total'] as number;
    },
  };
  beforeAll(async () => {
    running = await startWaybill({ env: { LOG_LEVEL: 'warn', ...env } });
  });
  afterAll(async () => {
    const output = running?.output() ?? '';
    await running?.stop();
    // A refusal is no error of ours: the log of an attacked server has no error line.
    expect(output.match(/^.*"level":"(error|fatal)".*$/gm) ?? []).toEqual([]);
  });
  return target;
}

/** A good order, with what is changed. */
export function orderWith(
  changes: Record<string, unknown> = {},
  item: Record<string, unknown> = {},
) {
  return {
    customer_id: 'customer_1',
    items: [{ item_id: 'item_1', item_name: 'Burger', quantity: 2, price: 12.99, ...item }],
    ...changes,
  };
}

/** A good order as text in which `marker` is replaced by text that JSON.stringify cannot write. */
export function orderText(changes: Record<string, unknown>, text: string, item = {}): string {
  return JSON.stringify(orderWith(changes, item)).replace('"<here>"', text);
}
