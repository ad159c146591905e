/**
 * Who may call what, asked of every route for everybody: A01 to A03 (bad tokens), A07 (functions of
 * higher roles, and other ways to ask for them). Generated from the route table.
 */
import { describe, expect, test } from 'vitest';
import { ROLES } from '@waybill/kit/identity.ts';
import { openTokenTools, seconds, type TokenTools } from '../../support/tokens.ts';
import { expectRefusal } from '../client.ts';
import { json, type Answer } from '../wire.ts';
import { adam, anna, everybody, olga, startPlatform, type Person } from './platform.ts';
import { named, pathOf, readRoutes, type TableEntry } from './routes.ts';

const platform = startPlatform();
const routes = await readRoutes();
const outside = routes.filter(({ route }) => route.internal !== true);
const inside = routes.filter(({ route }) => route.internal === true);
const guarded = outside.filter(({ route }) => route.access !== 'public');

const OCTETS = { 'content-type': 'application/octet-stream' };

/** Something to send that is refused for what it says, but not for what it is. */
function bodyFor({ route: { method, upload } }: TableEntry) {
  if (method === 'GET' || method === 'DELETE') return { headers: {} };
  return upload === undefined ? { headers: json, body: '{}' } : { headers: OCTETS, body: 'x' };
}

const codeOf = (answer: Answer) => answer.json['code'];

function ask(entry: TableEntry, who?: Person, headers: Record<string, string> = {}) {
  const { headers: own, ...body } = bodyFor(entry);
  const target = { method: entry.route.method, path: pathOf(entry.route), ...body };
  return platform.send(who, { ...target, headers: { ...own, ...headers } });
}

test('the table is seen, and every route of it says who may', () => {
  expect(new Set(routes.map(({ service }) => service)).size).toBeGreaterThan(2);
  expect(new Set(routes.map(({ name }) => name)).size).toBe(routes.length);
  for (const { name, route } of routes) {
    const { access, internal } = route;
    expect(access === 'public' || access.length > 0, name).toBe(true);
    if (access !== 'public') expect(ROLES, name).toEqual(expect.arrayContaining([...access]));
    // Between services there is only the role of services.
    if (internal === true) expect(access, name).toEqual(['service']);
    expect(route.path.startsWith('/internal/'), name).toBe(internal === true);
  }
});

describe('A07 a role may do what its routes say, and nothing else', () => {
  test.each(named(guarded))('%s', async (_name, entry) => {
    const access = entry.route.access as readonly string[];
    expectRefusal(await ask(entry), 401, 'unauthenticated');
    for (const who of everybody) {
      const answer = await ask(entry, who);
      if (!access.includes(who.role)) expectRefusal(answer, 403, 'forbidden');
      else expect(['unauthenticated', 'forbidden'], who.role).not.toContain(codeOf(answer));
      expect(answer.status, answer.text).toBeLessThan(500);
    }
  });
});

describe('A07 a public route asks nobody who they are', () => {
  test.each(named(outside.filter((entry) => !guarded.includes(entry))))('%s', async (_, entry) => {
    const answer = await ask(entry);
    expect(codeOf(answer)).not.toBe('unauthenticated');
    expect(answer.status, answer.text).toBeLessThan(500);
  });
});

describe('A07 between services there is nothing for others', () => {
  test.each(named(inside))('%s', async (_name, entry) => {
    expectRefusal(await ask(entry), 404, 'not_found');
    for (const who of everybody) expectRefusal(await ask(entry, who), 404, 'not_found');
    // A signature of ours, as if it had leaked: the role and the audience are looked at as well.
    const sign = (role: Person['role'], audience: string) => ({
      'waybill-identity': platform.signer.sign({ subject: 'x', roles: [role] }, audience),
    });
    for (const role of ROLES.filter((one) => one !== 'service'))
      expectRefusal(await ask(entry, undefined, sign(role, entry.service)), 403, 'forbidden');
    expectRefusal(await ask(entry, undefined, sign('service', 'x')), 401, 'unauthenticated');
  });
});

describe('A10 a service that nobody has signed for is nobody', () => {
  test.each(named([...guarded, ...inside]))('%s', async (_name, entry) => {
    const good = platform.signer.sign({ subject: 'orders', roles: ['service'] }, entry.service);
    const [payload = '', signature = ''] = good.split('.');
    const forgeries = [payload, `${payload}.${'A'.repeat(43)}`, `${payload}.${signature}=`];
    for (const forged of forgeries)
      for (const name of ['waybill-identity', 'Waybill-Identity', 'waybill_identity']) {
        const told = { [name]: forged, 'x-username': 'orders', 'x-roles': 'service' };
        const answer = await ask(entry, undefined, told);
        const hidden = entry.route.internal === true && name === 'waybill_identity';
        expectRefusal(answer, hidden ? 404 : 401, hidden ? 'not_found' : 'unauthenticated');
      }
    // Outside of /internal/ even a good one is the gateway's to make.
    if (entry.route.internal !== true)
      expectRefusal(
        await ask(entry, undefined, { 'waybill-identity': good }),
        401,
        'unauthenticated',
      );
  });
});

describe('bad tokens are refused alike by every route', () => {
  let tools: TokenTools;
  const faults: Record<string, () => Promise<string> | string> = {
    'A01 malformed': () => 'abc.def',
    'A01 expired': () => tools.sign({ exp: seconds() - 120, roles: ['admin'] }),
    'A01 not yet valid': () => tools.sign({ nbf: seconds() + 120, roles: ['admin'] }),
    'A01 of another issuer': () => tools.sign({ iss: 'evil', roles: ['admin'] }),
    'A01 for another audience': () => tools.sign({ aud: 'evil', roles: ['admin'] }),
    'A02 unsigned': async () => {
      const [, payload] = (await tools.sign({ roles: ['admin'] })).split('.');
      const header = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url');
      return `${header}.${payload}.`;
    },
    'A02 of an unknown key': () => tools.sign({ roles: ['admin'] }, { kid: '../../dev/null' }),
    'A02 with a claim twice': () =>
      tools.signText('{"sub":"a","sub":"root","iss":"waybill","aud":"waybill","exp":9999999999}'),
    'A03 a refresh token': () => tools.sign({ roles: ['admin'] }, { typ: 'rt+jwt' }),
    'A03 an id token': () => tools.sign({ roles: ['admin'] }, { typ: 'JWT' }),
  };

  test.each(Object.entries(faults))('%s', async (_name, make) => {
    tools ??= await openTokenTools(platform.dataDir);
    const authorization = `Bearer ${await make()}`;
    for (const entry of outside) {
      const answer = await ask(entry, undefined, { authorization });
      // Clients show a token that has run out when they come for a new one: they are nobody there.
      if (entry.service === 'auth' && entry.route.access === 'public') {
        expect(codeOf(answer)).not.toBe('unauthenticated');
        continue;
      }
      expectRefusal(answer, 401, 'unauthenticated');
      expect(answer.headers['www-authenticate']).toBe('Bearer');
      expect(Object.keys(answer.json).toSorted().join()).toBe(
        'code,detail,request_id,status,title,type',
      );
    }
  });

  test('A01 a good one made the same way is believed', async () => {
    tools ??= await openTokenTools(platform.dataDir);
    const authorization = `Bearer ${await tools.sign({ roles: ['admin'] })}`;
    for (const entry of guarded.filter(({ route }) => route.access.includes('admin')))
      expect(codeOf(await ask(entry, undefined, { authorization }))).not.toBe('unauthenticated');
  });
});

describe('A07 other ways to ask', () => {
  const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];
  const STRANGE = ['OPTIONS', 'TRACE', 'PROPFIND', 'LINK', 'SEARCH'];
  const paths = [...new Set(routes.map(({ route }) => route.path))];
  /** Methods of every route that an address leads to: `/orders/{id}` also takes `/orders/new`. */
  function methodsOf(address: string): string[] {
    const fits = routes.filter(({ route }) =>
      new RegExp(`^${route.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(address),
    );
    return fits.flatMap(({ route: { method } }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
  }

  test.each(paths)('methods that %s does not have', async (path) => {
    const [first] = routes.filter(({ route }) => route.path === path) as [TableEntry];
    const address = pathOf(first.route);
    const had = methodsOf(address);
    for (const method of [...METHODS, ...STRANGE].filter((one) => !had.includes(one)))
      for (const who of [undefined, anna, adam]) {
        const target = { method, path: address };
        const { status } = await platform.send(who, target);
        expect([400, 404, 405, 501], `${method} ${status}`).toContain(status);
      }
  });

  const OVERRIDES = ['x-http-method-override', 'x-method-override', 'x-http-method', '_method'];

  test.each(named(guarded))('%s by an override of another method', async (_name, entry) => {
    const { method } = entry.route;
    if (entry.route.access.includes('customer')) return;
    const headers = Object.fromEntries(OVERRIDES.map((name) => [name, method]));
    const path = pathOf(entry.route);
    for (const carrier of ['GET', 'POST']) {
      const body = carrier === 'POST' ? { body: '{}' } : {};
      const plain = await platform.send(anna, { method: carrier, path, ...body });
      const hidden = await platform.send(anna, { method: carrier, path, headers, ...body });
      expect([hidden.status, codeOf(hidden)]).toEqual([plain.status, codeOf(plain)]);
    }
  });

  test.each(named(guarded.filter(({ route }) => route.method === 'GET')))(
    '%s by HEAD',
    async (_name, entry) => {
      const head = (who?: Person) =>
        platform.send(who, { method: 'HEAD', path: pathOf(entry.route) });
      expect((await head()).status).toBe(401);
      for (const who of everybody)
        expect((await head(who)).status === 403, who.role).toBe(
          (await ask(entry, who)).status === 403,
        );
    },
  );

  test.each(named(guarded))('%s by other spellings of its path', async (_name, entry) => {
    const path = pathOf(entry.route);
    const cut = path.lastIndexOf('/', path.length - 2);
    const [before, last] = [path.slice(0, cut), path.slice(cut + 1)];
    const coded = `%${last.charCodeAt(0).toString(16)}${last.slice(1)}`;
    const spellings = [
      `${path}/`,
      `/${path}`,
      `${before}//${last}`,
      `${before}/./${last}`,
      `${before}/x/../${last}`,
      `${before}/%2e/${last}`,
      `${before}%2f${last}`,
      `${before}/${coded}`,
      `${path}%00`,
      `${path};a=b`,
      `${path}#x`,
      path.replace(/^\/\w+/, (first) => first.toUpperCase()),
    ];
    for (const spelling of spellings)
      for (const who of [anna, olga, adam]) {
        const target = { method: entry.route.method, path: spelling };
        const answer = await platform.send(who, { ...target, ...bodyFor(entry) });
        expect([400, 404, 415], `${spelling} ${answer.status}`).toContain(answer.status);
      }
  });
});
