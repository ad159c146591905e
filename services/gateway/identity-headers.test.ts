/**
 * A10: what a caller says of itself reaches no service, in any spelling, whether the service shares
 * the gateway's process or not; and a service that is called straight on its port believes nothing
 * that is not signed.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deriveKey } from '@waybill/kit/secrets.ts';
import { openIdentitySigner } from '@waybill/kit/identity.ts';
import type { RunningProcess } from '@waybill/kit/run.ts';
import {
  ask,
  mirror,
  sendRaw,
  start,
  startGateway,
  stopAll,
  temporaryFolder,
  testSecret,
  type Seen,
} from '../../tests/support/entrance.ts';
import { callEcho } from '../../tests/support/tokens.ts';
import { mintToken } from './dev-key.ts';

const signer = openIdentitySigner(deriveKey(testSecret, 'identity'));
const root = { subject: 'root', roles: ['service', 'admin'] } as const;
const path = '/api/v1/orders';
const service = () => mirror({ name: 'orders', path });

const SPELLINGS = [
  'X-Username: root',
  'x-username: root',
  'X_Username: root',
  'x_username: root',
  'X.Username: root',
  'x.username: root',
  'X-User-Name: root',
  'X-Roles: root',
  'x_roles: root',
  'X.Roles: root',
  'X-Request_Id: root',
  'X-User-Id: root',
  'X-Auth-Request-User: root',
  'Remote-User: root',
  'waybill_identity: root',
  'Waybill.Identity: root',
  'Waybill-Identity-: root',
  'Waybill-Deadline-Ms: 1',
  'Waybill-Origin: root',
  'Authorization_: root',
  'Cookie: session=root',
  'X-HTTP-Method-Override: DELETE',
  'X-Method-Override: DELETE',
  '__proto__: root',
];

/** Every field that a service is sent of a caller who said nothing that counts. */
const KNOWN = [
  'connection',
  'host',
  'prefer',
  'waybill-deadline-ms',
  'waybill-identity',
  'waybill-origin',
  'x-request-id',
  'x-roles',
  'x-username',
];

describe.each(['in one process', 'through the proxy'])('A10 %s', (topology) => {
  let open: RunningProcess;
  let jwt: RunningProcess;
  let dataDir: string;

  beforeAll(async () => {
    dataDir = temporaryFolder();
    const guarded = { AUTH_MODE: 'jwt', DATA_DIR: dataDir };
    if (topology === 'in one process') {
      open = await startGateway({}, [service()]);
      jwt = await startGateway(guarded, [service()]);
    } else {
      const DISCOVERY_URL = `static:orders=${(await start([service()])).url}`;
      open = await startGateway({ DISCOVERY_URL });
      jwt = await startGateway({ ...guarded, DISCOVERY_URL });
    }
  });
  afterAll(stopAll);

  /** Sends a GET with these header lines by hand. */
  async function get(...headers: string[]) {
    const own = ['Host: localhost', 'Prefer: wait=1', ...headers, 'Connection: close'];
    const answer = await sendRaw(open.port, `GET ${path} HTTP/1.1`, ...own);
    const json = answer.status === 200 ? (JSON.parse(answer.body) as Seen) : undefined;
    return { status: answer.status, json };
  }

  /** The service saw the demo admin, and nothing of what was sent. */
  function expectUnimpressed({ status, json }: Awaited<ReturnType<typeof get>>): void {
    expect(status).toBe(200);
    expect(json?.identity).toMatchObject({ subject: 'demo-admin', roles: ['admin', 'operator'] });
    expect(json?.headers).toMatchObject({
      prefer: 'wait=1',
      'x-username': 'demo-admin',
      'x-roles': 'admin,operator',
      'x-request-id': expect.stringMatching(/^[\da-f-]{36}$/),
    });
    const strangers = Object.keys(json?.headers ?? {}).filter((name) => !KNOWN.includes(name));
    expect(strangers).toEqual([]);
    expect(JSON.stringify(json)).not.toContain('root');
  }

  test.each(SPELLINGS)('%s', async (line) => {
    expectUnimpressed(await get(line));
    expectUnimpressed(await get(line, line));
    expectUnimpressed(await get(line.toUpperCase().replace(/ROOT$/, 'root'), line));
  });

  test('a signed identity from outside is replaced', async () => {
    const forged = signer.sign(root, 'orders');
    for (const name of ['waybill-identity', 'Waybill-Identity', 'WAYBILL-IDENTITY']) {
      expectUnimpressed(await get(`${name}: ${forged}`));
      expectUnimpressed(await get(`${name}: ${forged}`, `${name}: ${forged}`));
    }
  });

  test('Connection cannot take away what the gateway says', async () => {
    for (const names of ['waybill-identity', 'x-username, x-roles', 'close, x-request-id'])
      expectUnimpressed(await get(`Connection: ${names}`));
  });

  test('a folded header line carries nothing in', async () => {
    for (const fold of [' X-Username: root', '\tX-Roles: admin']) {
      const answer = await get('Accept: a', fold);
      if (answer.status === 200) expect(answer.json?.identity.subject).toBe('demo-admin');
      else expect(answer.status).toBe(400);
    }
  });

  test('a token decides, whatever else is said', async () => {
    const token = await mintToken({ dataDir, subject: 'ada', roles: ['customer'], ttlSeconds: 60 });
    for (const line of SPELLINGS) {
      const [name = '', value = ''] = line.split(': ');
      const headers = { authorization: `Bearer ${token}`, [name]: value };
      const { json } = await ask(jwt.url + path, { headers });
      expect(json.identity).toMatchObject({ subject: 'ada', roles: ['customer'] });
      expect(json.headers).toMatchObject({ 'x-username': 'ada', 'x-roles': 'customer' });
    }
  });

  test('a public route is told of a caller only what the gateway knows', async () => {
    const { status, json } = await ask(`${jwt.url}${path}/public/door`, {
      headers: { 'waybill-identity': signer.sign(root, 'orders'), 'x-username': 'root' },
    });
    expect(status).toBe(200);
    expect(json.identity).toEqual({ subject: 'anonymous', roles: [] });
    expect(json.headers).not.toHaveProperty('x-username');
    expect(json.headers).not.toHaveProperty('waybill-identity');
  });

  test('a name that is no ASCII is told percent-encoded', async () => {
    const subject = 'жук 100%';
    const token = await mintToken({ dataDir, subject, roles: ['customer'], ttlSeconds: 60 });
    const headers = { authorization: `Bearer ${token}` };
    const { status, json } = await ask(jwt.url + path, { headers });
    expect(status).toBe(200);
    expect(json.identity.subject).toBe(subject);
    expect(json.headers['x-username']).toBe(encodeURIComponent(subject));
  });
});

describe('A10 straight at a service', () => {
  let alone: RunningProcess;

  beforeAll(async () => {
    alone = await start([service()]);
  });
  afterAll(stopAll);

  test.each(SPELLINGS)('%s makes nobody of anybody', async (line) => {
    const lines = [`GET ${path} HTTP/1.1`, 'Host: localhost', line, 'Connection: close'];
    expect((await sendRaw(alone.port, ...lines)).status).toBe(401);
  });

  test('a token is none of its business', async () => {
    const dataDir = temporaryFolder();
    const token = await mintToken({ dataDir, subject: 'a', roles: ['admin'], ttlSeconds: 60 });
    expect((await callEcho(alone.url, token)).status).toBe(404);
    const headers = { authorization: `Bearer ${token}` };
    expect((await ask(alone.url + path, { headers })).status).toBe(401);
  });

  test('an identity that is unsigned, of another key, for another service, or cut', async () => {
    const [payload = '', signature = ''] = signer.sign(root, 'orders').split('.');
    const stranger = openIdentitySigner(deriveKey('another secret of somebody', 'identity'));
    const forgeries = [
      payload,
      `${payload}.`,
      `${payload}.${'A'.repeat(43)}`,
      `${payload}.${signature.slice(0, -1)}`,
      `${payload}.${signature}.x`,
      `.${signature}`,
      stranger.sign(root, 'orders'),
      signer.sign(root, 'payments'),
      Buffer.from(JSON.stringify(root)).toString('base64url'),
    ];
    for (const forged of forgeries)
      for (const target of [path, '/internal/orders/mirror']) {
        const { status } = await ask(alone.url + target, {
          headers: { 'waybill-identity': forged },
        });
        expect(status, `${target} ${forged}`).toBe(401);
      }
    const good = { 'waybill-identity': signer.sign(root, 'orders') };
    expect((await ask(alone.url + path, { headers: good })).status).toBe(200);
  });
});
