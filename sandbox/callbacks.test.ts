import { createHmac } from 'node:crypto';

import { afterEach, describe, expect, test } from 'vitest';

import type { Sandbox, SandboxOptions } from './gateway.ts';
import { CALLBACK_SECRET, createClient, startQuick, startReceiver } from './testing.ts';
import type { Received } from './testing.ts';

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

async function startBoth(statuses: number[] = [], changes: Partial<SandboxOptions> = {}) {
  const receiver = await startReceiver(statuses);
  const sandbox: Sandbox = await startQuick({ callbackUrl: receiver.url, ...changes });
  open.push(sandbox, receiver);
  const arrived = async (count: number): Promise<Received[]> => {
    await expect.poll(() => receiver.received.length, { timeout: 8_000 }).toBe(count);
    return receiver.received;
  };
  return { receiver, arrived, client: createClient(sandbox) };
}

/** Written from the description of the scheme, not from the code that signs. */
function verify({ headers, raw }: Received): void {
  const match = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['sandbox-signature']));
  const [, seconds, mac] = match!;
  expect(mac).toBe(createHmac('sha256', CALLBACK_SECRET).update(`${seconds}.${raw}`).digest('hex'));
  expect(Math.abs(Date.now() / 1000 - Number(seconds))).toBeLessThan(30);
}

describe('callbacks', () => {
  test('tell of charges, declines and refunds, signed', async () => {
    const { client, arrived } = await startBoth();
    const charge = await client.charge('k1');
    await arrived(1);
    await client.charge('k2', { token: 'tok_decline' });
    await arrived(2);
    const refund = await client.refund('r1', charge.body['id'], 10);
    const received = await arrived(3);
    for (const each of received) verify(each);
    const events = received.map(({ event }) => event);
    expect(events.map(({ type }) => type)).toEqual([
      'charge.captured',
      'charge.declined',
      'charge.refunded',
    ]);
    expect(events[0]!.charge).toEqual(charge.body);
    expect(events[1]!.charge).toMatchObject({
      key: 'k2',
      status: 'declined',
      code: 'card_declined',
    });
    expect(events[2]).toMatchObject({ charge: charge.body, refund: refund.body });
    expect(new Set(events.map(({ id }) => id)).size).toBe(3);
    for (const { id } of events) expect(id).toMatch(/^evt_/);
  });

  test('go where the request says, and are not sent for a repeat or a failure', async () => {
    const { client, receiver, arrived } = await startBoth();
    const other = await startReceiver();
    open.push(other);
    const extras = { callback_url: other.url };
    const charge = await client.charge('k1', extras);
    await client.charge('k1', extras);
    await client.charge('k2', { ...extras, token: 'tok_500' });
    await client.refund('r1', charge.body['id'], 10);
    await expect.poll(() => other.received.length).toBe(2);
    expect(receiver.received).toHaveLength(0);
    // The next one to the other place comes after all that could have been sent before it.
    await client.charge('k3');
    await arrived(1);
    expect(other.received.map(({ event }) => event.type)).toEqual([
      'charge.captured',
      'charge.refunded',
    ]);
  });

  test('tok_double_callback answers, and sends the same event again later', async () => {
    const { client, arrived } = await startBoth();
    await client.setControl({ late_callback_ms: 300 });
    expect((await client.charge('k', { token: 'tok_double_callback' })).status).toBe(201);
    await arrived(1);
    const [first, second] = await arrived(2);
    expect(second!.raw).toBe(first!.raw);
    verify(second!);
    expect(await client.journal()).toHaveLength(1);
  });

  test('come even when the charge is never answered', async () => {
    const { client, arrived } = await startBoth();
    await expect(client.charge('k', { token: 'tok_reset_after_charge' })).rejects.toThrow(
      'fetch failed',
    );
    const [only] = await arrived(1);
    expect(only!.event.charge).toMatchObject({ key: 'k', status: 'captured' });
  });

  test('hostile ones are late and several', async () => {
    const { client, receiver, arrived } = await startBoth();
    await client.setControl({
      late_callback_ms: 1_500,
      hostile: { duplicate_callback: 1, late_callback: 1 },
    });
    await client.charge('k');
    expect((await client.getControl()).body).toMatchObject({ callbacks: { pending: 3 } });
    expect(receiver.received).toHaveLength(0);
    const received = await arrived(3);
    expect(new Set(received.map(({ event }) => event.id)).size).toBe(1);
  });

  test('are tried again when the receiver fails, and signed anew', async () => {
    const { client, arrived } = await startBoth([500, 401]);
    await client.charge('k');
    const received = await arrived(3);
    expect(new Set(received.map(({ raw }) => raw)).size).toBe(1);
    for (const each of received) verify(each);
    await expect
      .poll(async () => (await client.getControl()).body)
      .toMatchObject({ callbacks: { delivered: 1, failed_attempts: 2, pending: 0 } });
  });

  test('a receiver that is not there harms nobody', async () => {
    const { client } = await startBoth([], { callbackUrl: 'http://127.0.0.1:9' });
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => client.charge(`k${index}`)),
    );
    expect(answers.every(({ status }) => status === 201)).toBe(true);
    await expect
      .poll(async () => {
        const { callbacks } = (await client.getControl()).body as {
          callbacks: { failed_attempts: number };
        };
        return callbacks.failed_attempts;
      })
      .toBeGreaterThanOrEqual(100);
    expect((await client.getControl()).body).toMatchObject({
      callbacks: { delivered: 0, pending: 100 },
    });
  });
});
