/**
 * A08: fields that a client has no business setting, added to every object of every body that there
 * is, are refused by name. Below /api/v3 they are passed over instead, as its contract allows.
 */
import { describe, expect, test } from 'vitest';
import { expectRefusal } from '../client.ts';
import { everybody, startPlatform } from './platform.ts';
import { examplesOf, named, pathOf, readRoutes, type TableEntry } from './routes.ts';

const platform = startPlatform();
const withBody = (await readRoutes()).filter(({ route }) => route.body !== undefined);

/** Open by contract, each with its reason. */
const OPEN: Readonly<Record<string, string>> = {
  'POST /api/v1/payments/callbacks': "a provider's own event, believed for its signature alone",
};

const PLANTED: Readonly<Record<string, unknown>> = {
  id: '019a0000-0000-7000-8000-0000000000ff',
  status: 'PAID',
  payment_status: 'CAPTURED',
  total: 0.01,
  total_amount: 0.01,
  balance: 1_000_000,
  tenant_id: 'planted',
  role: 'admin',
  roles: ['admin'],
  executor_id: 'planted',
  customer_id: 'planted',
  version: 99,
  is_admin: true,
  created_at: '2000-01-01T00:00:00.000Z',
};

interface Described {
  readonly properties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
  readonly anyOf?: readonly Described[];
}

/** One body for each object in the example, with all planted fields that it does not declare. */
function plantedBodies(schema: Described, example: unknown) {
  const found: { body: unknown; pointers: string[] }[] = [];
  const visit = (
    part: Described,
    value: unknown,
    at: string,
    put: (changed: unknown) => unknown,
  ): void => {
    if (part.anyOf !== undefined) return visit(part.anyOf[0] ?? {}, value, at, put);
    if (Array.isArray(value)) {
      const [first, ...rest] = value as unknown[];
      if (first !== undefined)
        visit(part.items ?? {}, first, `${at}/0`, (changed) => put([changed, ...rest]));
      return;
    }
    if (typeof value !== 'object' || value === null || part.properties === undefined) return;
    const { properties } = part;
    const strange = Object.entries(PLANTED).filter(([name]) => properties[name] === undefined);
    const pointers = strange.map(([name]) => `${at}/${name}`);
    found.push({ body: put({ ...value, ...Object.fromEntries(strange) }), pointers });
    for (const [name, inner] of Object.entries(value))
      visit(properties[name] ?? {}, inner, `${at}/${name}`, (changed) =>
        put({ ...value, [name]: changed }),
      );
  };
  visit(schema, example, '', (changed) => changed);
  return found;
}

function send({ service, route }: TableEntry, body: unknown) {
  const { method, access, internal } = route;
  const sent = { method, path: pathOf(route), body };
  const signed = platform.signer.sign({ subject: 'orders', roles: ['service'] }, service);
  if (internal === true)
    return platform.send(undefined, { ...sent, headers: { 'waybill-identity': signed } });
  return platform.send(
    everybody.find(({ role }) => access.includes(role)),
    sent,
  );
}

const isPetstore = ({ route }: TableEntry) => route.path.startsWith('/api/v3/');
const strict = withBody.filter((entry) => !isPetstore(entry) && OPEN[entry.name] === undefined);

test('A08 bodies are seen, and none is open that need not be', () => {
  expect(strict.length).toBeGreaterThan(5);
  const names = new Set(withBody.map(({ name }) => name));
  expect(Object.keys(OPEN).filter((name) => !names.has(name))).toEqual([]);
});

describe('A08 are refused, each by its name', () => {
  test.each(named(strict))('%s', async (_name, entry) => {
    const schema = entry.route.body as Described;
    const bodies = plantedBodies(schema, examplesOf(entry.route.body));
    expect(bodies.length).toBeGreaterThan(0);
    for (const { body, pointers } of bodies) {
      const answer = await send(entry, body);
      expectRefusal(answer, 422, 'invalid_body');
      const faults = answer.json['errors'] as { pointer: string }[];
      const places = faults.map(({ pointer }) => pointer).toSorted();
      // A published example has no other fault, so that it was these that were refused.
      if (entry.route.internal === true) expect(places).toEqual(expect.arrayContaining(pointers));
      else expect(places).toEqual(pointers.toSorted());
    }
  });
});

describe('A08 are passed over below /api/v3', () => {
  test.each(named(withBody.filter(isPetstore)))('%s', async (_name, entry) => {
    const schema = entry.route.body as Described;
    for (const { body, pointers } of plantedBodies(schema, examplesOf(entry.route.body))) {
      const answer = await send(entry, body);
      expect(answer.status, answer.text).toBeLessThan(500);
      const faults = (answer.json['errors'] ?? []) as { pointer: string }[];
      expect(faults.filter(({ pointer }) => pointers.includes(pointer))).toEqual([]);
      expect(answer.text).not.toContain('planted');
    }
  });
});
