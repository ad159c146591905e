/**
 * Scenarios of chapter C, over the wire, as published clients of the petstore send them: the life
 * of a pet from the window to its new home, and back. One file, run in every topology.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyDatabase } from '../../apps/server/verify/database.ts';
import { until } from '../support/waybill.ts';
import type { Platform } from './topologies.ts';

interface Told {
  readonly status: number;
  readonly headers: Headers;
  // The shape is what the scenarios are about.
  readonly body: never;
}

/** Declares the scenarios; `start` brings the platform up in open mode, without demo data. */
export function petstoreScenarios(start: () => Promise<Platform>): void {
  let platform: Platform;
  beforeAll(async () => {
    platform = await start();
  });
  afterAll(() => platform?.stop());

  const send = async (method: string, path: string, body?: object): Promise<Told> => {
    const reply = await fetch(platform.url + path, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const text = await reply.text();
    const told = text === '' ? {} : (JSON.parse(text) as object);
    return { status: reply.status, headers: reply.headers, body: told as never };
  };
  const addPet = async (): Promise<number> => {
    const { status, body } = await send('POST', '/api/v3/pet', { name: 'Rex', photoUrls: [] });
    expect(status).toBe(200);
    return body['id'];
  };
  const place = (petId: number) => send('POST', '/api/v3/store/order', { petId, quantity: 1 });
  const step = async (id: number, name: string) =>
    expect((await send('POST', `/api/v1/orders/${id}/${name}`)).status).toBe(200);
  const isAt = (petId: number, status: string) =>
    until(async () => (await send('GET', `/api/v3/pet/${petId}`)).body['status'] === status);
  const counts = async () => (await send('GET', '/api/v3/store/inventory')).body as object;

  it('a pet is ordered, approved, delivered; the counts follow', async () => {
    const petId = await addPet();
    const { status, headers, body } = await place(petId);
    expect([200, 202], JSON.stringify(body)).toContain(status);
    const order: number = body['id'];
    expect(headers.get('location')).toBe(`/api/v3/store/order/${order}`);
    await until(async () => (await send('GET', `/api/v3/store/order/${order}`)).status === 200);
    await isAt(petId, 'pending');
    await until(async () => JSON.stringify(await counts()).includes('"pending":1'));
    await step(order, 'approve');
    await isAt(petId, 'sold');
    await step(order, 'deliver');
    await step(order, 'complete');
    expect((await send('GET', `/api/v3/store/order/${order}`)).body).toMatchObject({
      status: 'delivered',
      complete: true,
    });
    await until(async () => JSON.stringify(await counts()).includes('"sold":1'));
  });

  it('of twenty callers one gets the pet, and a cancelled order gives it back', async () => {
    const petId = await addPet();
    const answers = await Promise.all(Array.from({ length: 20 }, () => place(petId)));
    const won = answers.filter(({ status }) => status < 300);
    expect(won, JSON.stringify(answers[0])).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(19);
    const order: number = won[0]!.body['id'];
    await until(async () => (await send('GET', `/api/v3/store/order/${order}`)).status === 200);
    expect((await send('DELETE', `/api/v3/store/order/${order}`)).status).toBe(200);
    expect((await send('GET', `/api/v3/store/order/${order}`)).status).toBe(404);
    await isAt(petId, 'available');
    expect((await place(petId)).status).toBeLessThan(300);
  });

  it('the books agree when everything has come to rest', async () => {
    const { databaseUrl } = platform;
    const { ok, quiescent, verdicts } = await verifyDatabase({ databaseUrl, waitSeconds: 30 });
    expect(verdicts.filter(({ state }) => state === 'violated')).toEqual([]);
    expect({ ok, quiescent }).toEqual({ ok: true, quiescent: true });
  });
}
