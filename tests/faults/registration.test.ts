/**
 * A process that is killed at every step of a registration. Afterwards there is a user with
 * profile and wallet, or nothing at all and the name is free; nobody has to help.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, queryRows } from '../support/database.ts';
import { freePort, startWaybill, until, type WaybillProcess } from '../support/waybill.ts';
import { OF_REGISTRATIONS } from './matrix.ts';

const PASSWORD = 'correct horse battery staple';
/** A registration whose request is gone is undone after 20 s; a lease may have to end first. */
const SETTLED_MS = 40_000;

const ways = {
  together: ['gateway', 'auth', 'customers', 'billing', 'notifications'],
  apart: ['gateway', 'auth'],
} as const;

describe.each(Object.keys(ways) as (keyof typeof ways)[])('%s', (way) => {
  let databaseUrl: string;
  let env: Record<string, string>;
  let url: string;
  let port: number;
  let door: WaybillProcess;
  let others: WaybillProcess | undefined;

  beforeAll(async () => {
    const [own, theirs] = [await freePort(), await freePort()];
    port = own;
    url = `http://127.0.0.1:${port}`;
    databaseUrl = await createTestDatabase();
    env = {
      DATABASE_URL: databaseUrl,
      DATABASE_ROLE_PREFIX: 'waybill_register',
      WAYBILL_SECRET: 'a secret of the registrations',
      LOG_LEVEL: 'fatal',
    };
    if (way === 'together') return;
    const names = ['customers', 'billing', 'notifications'];
    const places = names.map((name) => `${name}=http://127.0.0.1:${theirs}`);
    env['DISCOVERY_URL'] = `static:auth=${url},${places.join(',')}`;
    others = await startWaybill({ names, env, port: theirs });
  });
  afterAll(async () => {
    await door.kill9();
    await others?.kill9();
  });

  async function start(failpoints = ''): Promise<void> {
    const settings = failpoints === '' ? env : { ...env, FAILPOINTS: failpoints };
    door = await startWaybill({ names: ways[way], env: settings, port });
  }

  async function send(method: string, path: string, body?: object): Promise<number> {
    const json = { 'content-type': 'application/json' };
    const sent = body === undefined ? {} : { headers: json, body: JSON.stringify(body) };
    const reply = await fetch(`${url}${path}`, { method, ...sent }).catch(() => undefined);
    await reply?.arrayBuffer();
    return reply?.status ?? 0;
  }

  const contact = (name: string) => ({
    username: name,
    email: `${name}@example.com`,
    phone: '+1 555 0100',
  });
  const register = (name: string) =>
    send('POST', '/api/v1/auth/register', { ...contact(name), password: PASSWORD });
  const nameOf = (point: string) => point.replaceAll(/[._]/g, '-');
  const isUndoing = (point: string) => point.startsWith('auth.undo.');

  /** What answers about a person: sign-in, profile, wallet. */
  const seen = async (name: string) => [
    await send('POST', '/api/v1/auth/login', { username: name, password: PASSWORD }),
    await send('GET', `/api/v1/user/${name}`),
    await send('GET', `/api/v1/billing/account/balance?username=${name}`),
  ];

  /** So that the task of one registration does not die of what is meant for the next one's. */
  const undoAfter = (seconds: number) =>
    queryRows(
      databaseUrl,
      `update auth.tasks set run_at = created_at + make_interval(secs => $1)
       where kind = 'undo_registration'`,
      [seconds],
    );

  test('there is everything or nothing, wherever it died', async () => {
    for (const point of OF_REGISTRATIONS) {
      await start(`${point}=kill`);
      // A profile that somebody made by hand makes the registration undo itself.
      if (isUndoing(point))
        expect(await send('POST', '/api/v1/user', contact(nameOf(point)))).toBe(201);
      expect(await register(nameOf(point)), point).toBe(0);
      await door.exited;
      await undoAfter(600);
    }
    await undoAfter(20);
    await start();
    const open = () =>
      queryRows<{ username: string }>(
        databaseUrl,
        `select username from auth.users where state <> 'active'`,
      );
    await until(async () => (await open()).length === 0, SETTLED_MS, 500);
    for (const point of OF_REGISTRATIONS) {
      const name = nameOf(point);
      const whole = point === 'auth.register.completed';
      const byHand = isUndoing(point);
      const expected = whole ? [200, 200, 200] : [401, byHand ? 200 : 404, 404];
      expect(await seen(name), point).toEqual(expected);
      expect(await register(name), point).toBe(whole || byHand ? 409 : 201);
      if (!byHand) expect(await seen(name), point).toEqual([200, 200, 200]);
    }
    const left = await queryRows(
      databaseUrl,
      `select key from auth.tasks where kind = 'undo_registration'`,
    );
    expect(left).toEqual([]);
  }, 300_000);
});
