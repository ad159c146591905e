/**
 * Buyers of pets as they should be: every order carries an Idempotency-Key, and what ended without
 * a clear answer is asked again under the same key until it has one.
 */
import { join } from 'node:path';
import { until } from '../support/waybill.ts';
import { openCaller, type Caller } from './harness/caller.ts';
import type { Cluster } from './harness/cluster.ts';
import { openClientJournal, type ClientJournal } from './harness/journal.ts';
import { queryAsOwner } from './harness/postgres.ts';

export interface Petshop {
  readonly journal: ClientJournal;
  /** How long each answer of a race took: the winners', and the losers'. */
  readonly winners: readonly number[];
  readonly losers: readonly number[];
  /** What was not as it must be. */
  readonly troubles: readonly string[];
  addPet(): Promise<number>;
  /**
   * So many want one pet at once; the number of the order of whoever got it. Without a key only
   * where nothing breaks: such a request cannot be repeated.
   */
  race(petId: number, callers: number, keyless?: boolean): Promise<number>;
  /** Approve, deliver or complete; or cancel. */
  step(number: number, name: string): Promise<void>;
  /** A week later, as far as these orders are concerned. */
  expire(numbers: readonly number[]): Promise<void>;
  statusOf(petId: number): Promise<string>;
  follow(petId: number, status: string): Promise<void>;
  close(): Promise<void>;
}

let shops = 0;

export function openPetshop(cluster: Cluster): Petshop {
  const name = `shop-${Date.now().toString(36)}-${shops++}`;
  const journal = openClientJournal(join(cluster.folder, `${name}.ndjson`));
  const caller = openCaller({ url: cluster.url, attemptMs: 8000 }, name, journal, () => {});
  const winners: number[] = [];
  const losers: number[] = [];
  const troubles: string[] = [];
  const ask = keyed(caller, name);

  const place = placing(caller, ask, troubles);

  const shop: Petshop = {
    journal,
    winners,
    losers,
    troubles,
    async addPet() {
      const { status, body } = await ask('other', '/api/v3/pet', { name, photoUrls: [] });
      if (status !== 200) throw new Error(`a pet was answered ${status}`);
      return (body as { id: number }).id;
    },
    async race(petId, callers, keyless = false) {
      const answers = await Promise.all(
        // Every fifth has a key in any case.
        Array.from({ length: callers }, (_, index) => place(petId, keyless && index % 5 > 0)),
      );
      const won = answers.filter(({ id }) => id !== undefined);
      winners.push(...won.map(({ ms }) => ms));
      losers.push(...answers.filter(({ id }) => id === undefined).map(({ ms }) => ms));
      if (won.length !== 1) troubles.push(`${won.length} of ${callers} got pet ${petId}`);
      return won[0]?.id ?? 0;
    },
    async step(number, step) {
      const { status } = await ask('other', `/api/v1/orders/${number}/${step}`);
      if (status >= 300) troubles.push(`${step} of order ${number} was answered ${status}`);
    },
    async expire(numbers) {
      const text = `update orders.pet_orders set expires_at = now() where order_id in
        (select id from orders.orders where number = any($1))`;
      await queryAsOwner(cluster.databaseUrl(), text, [numbers]);
    },
    async statusOf(petId) {
      const path = `/api/v3/pet/${petId}`;
      const { body } = await caller.ask({ op: 'other', method: 'GET', path });
      return (body as { status: string }).status;
    },
    follow: (petId, status) =>
      until(async () => (await shop.statusOf(petId)) === status, 60_000, 100),
    async close() {
      await caller.close();
      journal.close();
    },
  };
  return shop;
}

/** Orders a pet; waits for the order where it was promised. */
function placing(caller: Caller, ask: Ask, troubles: string[]) {
  const isThere = async (id: unknown) => {
    const path = `/api/v3/store/order/${String(id)}`;
    return (await caller.ask({ op: 'other', method: 'GET', path })).status === 200;
  };
  return async (petId: number, keyless: boolean) => {
    const begun = performance.now();
    const path = '/api/v3/store/order';
    const reply = await ask('create', path, { petId, quantity: 1 }, keyless);
    const { id, code } = reply.body as { id?: number; code?: string };
    const ms = performance.now() - begun;
    if (reply.status === 202) await until(() => isThere(id), 60_000, 100);
    if (reply.status === 200 || reply.status === 202) return { id: id as number, ms };
    if (reply.status !== 409 || code !== 'pet_not_available')
      troubles.push(`ordering ${petId} was answered ${reply.status} ${code}`);
    return { id: undefined, ms };
  };
}

type Ask = ReturnType<typeof keyed>;

function keyed(caller: Caller, name: string) {
  let serial = 0;
  return (op: 'create' | 'other', path: string, body?: object, keyless = false) =>
    caller.ask({
      op,
      method: 'POST',
      path,
      ...(keyless ? {} : { key: `${name}-${serial++}` }),
      ...(body === undefined ? {} : { body }),
    });
}
