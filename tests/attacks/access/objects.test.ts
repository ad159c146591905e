/**
 * A06: things of others. Every route through which a customer or an executor could name something
 * is asked by another one, who is told the same as if it were not there, and changes nothing.
 */
import { describe, expect, test } from 'vitest';
import type { Route } from '@waybill/kit/route.ts';
import { Type } from '@waybill/kit/schema.ts';
import { expectRefusal, orderWith } from '../client.ts';
import type { Case, Target } from './cases.ts';
import { declared } from './declared.ts';
import { adam, startPlatform, type Person } from './platform.ts';
import { namesThings, pathOf, readRoutes, type TableEntry } from './routes.ts';

const platform = startPlatform();
const routes = (await readRoutes()).filter(namesThings);
const byName = new Map(routes.map((entry) => [entry.name, entry]));

const cases = Object.entries(declared).flatMap(([name, said]) =>
  typeof said === 'string' ? [] : [said].flat().map((one): [string, Case] => [name, one]),
);

function ask({ route }: TableEntry, who: Person, { path = {}, query = {}, body }: Target) {
  const search = new URLSearchParams(query).toString();
  const target = `${pathOf(route, path)}${search === '' ? '' : `?${search}`}`;
  return platform.send(who, {
    method: route.method,
    path: target,
    ...(body === undefined ? {} : { body }),
  });
}

async function look({ look: path }: Target): Promise<string> {
  if (path === undefined) return '';
  const answer = await platform.send(adam, { path });
  expect(answer.status, answer.text).toBe(200);
  return answer.text;
}

test('A06 every route that takes an id or a name says what others get, and no other does', () => {
  expect(routes.length).toBeGreaterThan(3);
  expect([...byName.keys()].toSorted()).toEqual(Object.keys(declared).toSorted());
});

test('A06 which routes those are', () => {
  const person = Type.Object({ account: Type.Object({ username: Type.String() }) });
  const names = (changes: Partial<Route>, path = '/things') =>
    namesThings({
      service: 'x',
      name: 'x',
      route: { method: 'POST', path, access: ['customer'], ...changes } as Route,
    });
  expect(names({})).toBe(false);
  expect(names({}, '/things/{id}')).toBe(true);
  expect(names({ access: 'public' }, '/things/{id}')).toBe(true);
  expect(names({ access: ['executor', 'admin'] }, '/things/{id}')).toBe(true);
  expect(names({ access: ['operator', 'admin', 'service'] }, '/things/{id}')).toBe(false);
  expect(names({ internal: true, access: ['service'] }, '/internal/things/{id}')).toBe(false);
  expect(names({ body: person })).toBe(true);
  expect(names({ body: Type.Array(person) })).toBe(true);
  expect(names({ query: Type.Object({ executorId: Type.String() }) })).toBe(true);
  expect(names({ query: Type.Object({ status: Type.String() }) })).toBe(false);
});

describe('A06 by another', () => {
  test.each(cases)('%s', async (name, { make, own, foreign, role = 'customer' }) => {
    const entry = byName.get(name) as TableEntry;
    const [owner, other] = [await platform.meet(role), await platform.meet(role)];
    const target = await make(platform, owner);
    const before = await look(target);
    const answer = await ask(entry, other, { ...target, ...target.asOther?.(other) });
    expect(answer.status, answer.text).toBe(foreign);
    if (target.hidden !== undefined) expect(answer.text).not.toContain(target.hidden);
    expect(await look(target)).toBe(before);
    const mine = await ask(entry, owner, target);
    expect(mine.status, mine.text).toBe(own);
    if (foreign === 200 && target.hidden !== undefined) expect(mine.text).toContain(target.hidden);
  });
});

describe('A06 what is there cannot be told from what is not', () => {
  const hidden = cases.filter(([, { foreign }]) => foreign === 404);
  const withPath = hidden.filter(([name]) => name.includes('{'));

  test.each(withPath)('%s', async (name, { make, role = 'customer' }) => {
    const entry = byName.get(name) as TableEntry;
    const [owner, other] = [await platform.meet(role), await platform.meet(role)];
    const target = await make(platform, owner);
    const [real, invented] = [
      await ask(entry, other, target),
      await ask(entry, other, { ...target, path: { ...target.path, ...nothing(target) } }),
    ];
    const told = ({ json }: typeof real) => ({ ...json, request_id: '' });
    expect(told(real)).toEqual(told(invented));
  });

  /** Ids of the same kind that nobody has. */
  function nothing({ path = {} }: Target): Record<string, string> {
    return Object.fromEntries(
      Object.entries(path).map(([key, value]) => [
        key,
        typeof value === 'number' ? '7' : value.replace(/^.{8}/, '00000000'),
      ]),
    );
  }
});

const KEY = 'thought-of-by-both';

test('A06 an idempotency key is its owner’s: the same of another is another', async () => {
  const [owner, other] = [await platform.meet('customer'), await platform.meet('customer')];
  const place = (who: Person) =>
    platform.send(who, {
      method: 'POST',
      path: '/api/v1/orders',
      headers: { 'idempotency-key': KEY },
      body: orderWith({ customer_id: who.name }),
    });
  const [first, second] = [await place(owner), await place(other)];
  expect([first.status, second.status]).toEqual([202, 202]);
  expect(second.headers['idempotent-replayed']).toBeUndefined();
  expect(second.json['id']).not.toBe(first.json['id']);
  expect((await place(owner)).json).toEqual(first.json);
  const stolen = await platform.send(other, {
    method: 'POST',
    path: '/api/v1/orders',
    headers: { 'idempotency-key': KEY },
    body: orderWith({ customer_id: owner.name }),
  });
  expect(stolen.text).not.toContain(first.json['id']);
  expect([403, 422]).toContain(stolen.status);
  expectRefusal(stolen, stolen.status, stolen.json['code'] as string);
});
