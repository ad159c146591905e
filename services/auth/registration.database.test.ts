/** Registrations: whole or not at all, whatever fails and wherever the process dies. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { armFailpoints, FAILPOINTS } from '@waybill/kit/failpoints.ts';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import { openNeighbours, type Mood } from '../../tests/support/neighbours.ts';
import { startServices, type Running } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { auth } from './index.ts';

let running: Running;
const neighbours = openNeighbours();
const PASSWORD = 'correct horse battery staple';

beforeAll(async () => {
  running = await startServices([auth, ...neighbours.services]);
});

let people = 0;
let name = '';

beforeEach(() => {
  name = `person-${++people}`;
});

afterEach(() => {
  for (const who of ['customers', 'billing', 'notifications', 'undoing'] as const)
    neighbours.mood[who] = 'well';
});

function rows<Row = Record<string, unknown>>(text: string, values: unknown[] = []) {
  return queryRows<Row>(running.databaseUrl, text, values);
}

function register(changes: object = {}, key?: string) {
  const body = {
    username: name,
    email: `${name}@example.com`,
    phone: '+1 555 0100',
    password: PASSWORD,
    ...changes,
  };
  const headers = key === undefined ? {} : { 'idempotency-key': key };
  return running.call('POST', '/api/v1/auth/register', { as: null, body, headers });
}

async function login() {
  const body = { username: name, password: PASSWORD };
  return (await running.call('POST', '/api/v1/auth/login', { as: null, body })).status;
}

/** What there is of a person: nothing, everything, or something in between. */
async function stateOf(username: string): Promise<'nothing' | 'everything' | object> {
  const users = await rows<{ state: string }>('select state from auth.users where username = $1', [
    username,
  ]);
  const tasks = await rows(
    `select t.key from auth.tasks t join auth.users u on u.id::text = t.key
     where t.kind = 'undo_registration' and u.username = $1`,
    [username],
  );
  const there = {
    user: users[0]?.state ?? null,
    tasks: tasks.length,
    profile: neighbours.profiles.has(username),
    account: neighbours.accounts.has(username),
  };
  const all = { user: 'active', tasks: 0, profile: true, account: true };
  const none = { user: null, tasks: 0, profile: false, account: false };
  if (JSON.stringify(there) === JSON.stringify(all)) return 'everything';
  return JSON.stringify(there) === JSON.stringify(none) ? 'nothing' : there;
}

/** As after twenty seconds: the request of every open registration is gone. */
function hasten() {
  return rows(`update auth.tasks set run_at = now() where kind = 'undo_registration'`);
}

describe('a registration', () => {
  test('makes a user, a profile and an account, and tells of it', async () => {
    const { status, body, headers } = await register({ firstName: 'Ada', lastName: 'Lovelace' });
    expect(status).toBe(201);
    expect(headers['location']).toBe(`/api/v1/user/${name}`);
    expect(Object.keys(body)).toEqual(['userInfo']);
    expect(body['userInfo']).toMatchObject({ username: name, roles: ['customer'] });
    expect(await stateOf(name)).toBe('everything');
    expect(neighbours.contacts.get(name)).toMatchObject({
      email: `${name}@example.com`,
      phone: '+1 555 0100',
      first_name: 'Ada',
      last_name: 'Lovelace',
    });
    const { id } = body['userInfo'] as unknown as { id: string };
    const events = await rows('select version, type, data from auth.log where key = $1', [id]);
    const data = { user_id: id, username: name, roles: ['customer'] };
    expect(events).toEqual([{ version: 1, type: 'USER_REGISTERED', data }]);
  });

  test('logs in at once when it is asked to', async () => {
    const { body } = await register({ login: true });
    expect(body).toMatchObject({ tokenType: 'Bearer', userInfo: { username: name } });
    const refreshToken = body['refreshToken'];
    const path = '/api/v1/auth/refresh';
    const refreshed = await running.call('POST', path, { as: null, body: { refreshToken } });
    expect(refreshed.status).toBe(200);
  });

  test('of a name or an address that is somebody’s is refused, in every spelling', async () => {
    expect((await register()).status).toBe(201);
    const other = { email: 'else@example.com' };
    for (const username of [name, name.toUpperCase(), name.replace('person', 'ｐerson')]) {
      const { status, body } = await register({ ...other, username });
      expect([status, body['code']], username).toEqual([409, 'username_taken']);
    }
    const email = `${name}@EXAMPLE.com`;
    const { status, body } = await register({ username: `${name}-2`, email });
    expect([status, body['code']]).toEqual([409, 'email_taken']);
    expect(await stateOf(`${name}-2`)).toBe('nothing');
  });

  test('of one name by many at once is one', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, count) => register({ email: `${name}-${count}@example.com` })),
    );
    const codes = answers.map(({ status }) => status).sort((a, b) => a - b);
    expect(codes).toEqual([201, ...Array.from({ length: 19 }, () => 409)]);
    expect(await stateOf(name)).toBe('everything');
  });

  test.each([
    [{ username: 'a b' }, '/username'],
    [{ username: 'Login' }, '/username'],
    [{ username: 'ADMIN' }, '/username'],
    [{ username: 'orders' }, '/username'],
    [{ username: 'ada@example.com' }, '/username'],
    [{ email: 'nothing' }, '/email'],
    [{ phone: 'call me' }, '/phone'],
    [{ password: '1234567' }, '/password'],
    [{ password: '🔑🔑🔑🔑🔑🔑🔑' }, '/password'],
    [{ password: 'ü'.repeat(513) }, '/password'],
    [{ roles: ['admin'] }, '/roles'],
    [{ id: newId() }, '/id'],
    [{ password: undefined }, '/password'],
  ])('that says %j is refused', async (changes, pointer) => {
    const { status, body } = await register(changes);
    expect(status).toBe(422);
    const errors = body['errors'] as unknown as { pointer: string }[];
    expect(errors.map((error) => error.pointer)).toEqual([pointer]);
    expect(await stateOf(name)).toBe('nothing');
  });

  test('takes eight characters, whatever their bytes, and a kilobyte', async () => {
    expect((await register({ password: '🔑🔑🔑🔑🔑🔑🔑🔑' })).status).toBe(201);
    name += '-long';
    expect((await register({ password: 'x'.repeat(1024) })).status).toBe(201);
  });
});

describe('when a neighbour', () => {
  const moods: readonly Mood[] = ['refuses', 'away', 'after'];
  const cases = (['customers', 'billing'] as const).flatMap((who) =>
    moods.map((mood) => [who, mood] as const),
  );

  test.each(cases)('%s %s, nothing is left and the name is free', async (who, mood) => {
    neighbours.mood[who] = mood;
    const { status, headers } = await register();
    expect(status).toBe(503);
    expect(headers['retry-after']).toBeDefined();
    expect(await stateOf(name)).toBe('nothing');
    expect(await login()).toBe(401);
    neighbours.mood[who] = 'well';
    expect((await register()).status).toBe(201);
    expect(await stateOf(name)).toBe('everything');
  });

  test('has a profile of that name already, the name is taken', async () => {
    neighbours.profiles.set(name, 'by hand');
    const { status, body } = await register();
    expect([status, body['code']]).toEqual([409, 'username_taken']);
    expect(neighbours.profiles.get(name)).toBe('by hand');
    expect(await rows('select from auth.users where username = $1', [name])).toEqual([]);
  });

  test('hangs, the answer comes within the deadline', async () => {
    neighbours.mood.billing = 'hangs';
    const begun = performance.now();
    expect((await register()).status).toBe(503);
    expect(performance.now() - begun).toBeLessThan(12_000);
    expect(await stateOf(name)).toBe('nothing');
  });

  test('is away for the undoing as well, a task undoes it as soon as it is back', async () => {
    neighbours.mood.billing = 'after';
    neighbours.mood.undoing = 'away';
    expect((await register()).status).toBe(503);
    expect(await stateOf(name)).toMatchObject({ user: 'undoing', profile: true, account: true });
    expect(await login()).toBe(401);
    const taken = await register();
    expect([taken.status, taken.headers['retry-after']]).toEqual([409, '5']);
    neighbours.mood.billing = 'well';
    neighbours.mood.undoing = 'well';
    await until(async () => (await stateOf(name)) === 'nothing', 15_000);
    expect((await register()).status).toBe(201);
  });
});

const points = FAILPOINTS.filter((point) => point.startsWith('auth.'));

describe('at every step', () => {
  test('there is something to fail', () => {
    expect(points.length).toBeGreaterThanOrEqual(10);
  });

  test.each(points)('an error at %s leaves everything or nothing', async (point) => {
    if (point.startsWith('auth.undo.')) neighbours.mood.billing = 'after';
    armFailpoints(`${point}=throw`);
    const { status } = await register();
    expect(status).toBeGreaterThanOrEqual(500);
    neighbours.mood.billing = 'well';
    await hasten();
    const settled = point === 'auth.register.completed' ? 'everything' : 'nothing';
    await until(async () => (await stateOf(name)) === settled, 15_000);
    expect((await register()).status).toBe(settled === 'nothing' ? 201 : 409);
    expect(await stateOf(name)).toBe('everything');
  });

  test.each(points)('a request that dies at %s leaves everything or nothing', async (point) => {
    const undoing = point.startsWith('auth.undo.');
    if (undoing) neighbours.mood.billing = 'after';
    armFailpoints(`${point}=hang`);
    void register();
    const uncommitted = point.endsWith('.before_commit') || point.endsWith('.before_completion');
    if (point !== 'auth.register.before_commit')
      await until(async () => {
        const [user] = await rows<{ state: string }>(
          'select state from auth.users where username = $1',
          [name],
        );
        return user !== undefined && (!undoing || user.state === 'undoing');
      });
    // A process that dies takes its open transaction with it.
    if (uncommitted)
      await until(async () => {
        const ended = await rows(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where application_name = 'waybill-auth' and state = 'idle in transaction'
             and datname = current_database() and xact_start < now() - interval '0.5 seconds'`,
        );
        return ended.length > 0;
      });
    if (point === 'auth.register.completed') await until(async () => (await login()) === 200);
    neighbours.mood.billing = 'well';
    const settled = point === 'auth.register.completed' ? 'everything' : 'nothing';
    await until(async () => {
      await hasten();
      return (await stateOf(name)) === settled;
    }, 15_000);
    expect(await login()).toBe(settled === 'nothing' ? 401 : 200);
    expect((await register()).status).toBe(settled === 'nothing' ? 201 : 409);
  });
});

describe('an idempotency key', () => {
  test('gives the first answer again, with fresh tokens', async () => {
    const key = newId();
    const first = await register({ login: true }, key);
    const again = await register({ login: true }, key);
    expect(again.status).toBe(201);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(again.body['userInfo']).toEqual(first.body['userInfo']);
    expect(again.body['refreshToken']).toBeDefined();
    expect(again.body['refreshToken']).not.toBe(first.body['refreshToken']);
    const kept = await rows('select response from auth.idempotency_keys where key = $1', [key]);
    expect(kept).toEqual([{ response: JSON.stringify(first.body['userInfo']) }]);
  });

  test('opens no door to who knows an old password', async () => {
    const key = newId();
    await register({ login: true }, key);
    await rows('update auth.users set password_hash = null where username = $1', [name]);
    expect((await register({ login: true }, key)).status).toBe(401);
  });

  test('with another body is refused', async () => {
    const key = newId();
    expect((await register({}, key)).status).toBe(201);
    const { status, body } = await register({ phone: '+1 555 0199' }, key);
    expect([status, body['code']]).toEqual([422, 'idempotency_key_reused']);
  });

  test('used fifty times at once makes one user', async () => {
    const key = newId();
    const answers = await Promise.all(Array.from({ length: 50 }, () => register({}, key)));
    const made = answers.filter(({ status }) => status === 201);
    const fresh = made.filter(({ headers }) => headers['idempotent-replayed'] !== 'true');
    expect(fresh).toHaveLength(1);
    for (const { status, body } of answers.filter((answer) => !made.includes(answer)))
      expect([status, body['code']]).toEqual([409, 'request_in_progress']);
  });

  test('of a registration that failed may be used again', async () => {
    const key = newId();
    neighbours.mood.billing = 'away';
    expect((await register({}, key)).status).toBe(503);
    neighbours.mood.billing = 'well';
    expect((await register({}, key)).status).toBe(201);
    // Also when it was the task that undid it.
    name += '-again';
    const other = newId();
    neighbours.mood.billing = 'after';
    neighbours.mood.undoing = 'away';
    expect((await register({}, other)).status).toBe(503);
    neighbours.mood.billing = 'well';
    neighbours.mood.undoing = 'well';
    await until(async () => (await stateOf(name)) === 'nothing', 15_000);
    expect((await register({}, other)).status).toBe(201);
  });
});
