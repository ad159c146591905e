import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deriveKey } from '@waybill/kit/secrets.ts';
import { openIdentitySigner } from '@waybill/kit/identity.ts';
import type { RunningProcess } from '@waybill/kit/run.ts';
import {
  ask,
  mirror,
  sendRaw,
  startGateway,
  stopAll,
  temporaryFolder,
  testSecret,
  type Seen,
} from '../../tests/support/entrance.ts';
import { mintToken } from './dev-key.ts';

const signer = openIdentitySigner(deriveKey(testSecret, 'identity'));
const services = [mirror({ name: 'echo', path: '/api/v1/echo' })];
let open: RunningProcess;

beforeAll(async () => {
  open = await startGateway({}, services);
});
afterAll(stopAll);

/** Sends a GET with these header lines by hand. */
async function get(path: string, ...headers: string[]) {
  const own = headers.some((line) => /^host:/i.test(line)) ? [] : [`Host: 127.0.0.1:${open.port}`];
  const lines = [`GET ${path} HTTP/1.1`, ...own, ...headers, 'Connection: close'];
  const answer = await sendRaw(open.port, ...lines);
  const json = answer.body.startsWith('{')
    ? (JSON.parse(answer.body) as Seen & { code?: string })
    : undefined;
  return { ...answer, json };
}

describe('below /internal/', () => {
  const path = '/internal/echo/mirror';

  test('there is nothing for those who do not sign', async () => {
    const { status, json } = await get(path);
    expect([status, json?.code]).toEqual([404, 'not_found']);
    const withToken = await get('/internal/echo/nothing', 'Authorization: Bearer x');
    expect(withToken.status).not.toBe(200);
  });

  test('a service is known by its signature for this audience', async () => {
    const caller = { subject: 'orders', roles: ['service'] } as const;
    const ours = await get(path, `waybill-identity: ${signer.sign(caller, 'echo')}`);
    expect(ours.json?.identity).toMatchObject(caller);
    const foreign = await get(path, `waybill-identity: ${signer.sign(caller, 'orders')}`);
    expect(foreign.status).toBe(401);
    const [payload] = signer.sign(caller, 'echo').split('.');
    const unsigned = await get(path, `waybill-identity: ${payload}.${'A'.repeat(43)}`);
    expect(unsigned.status).toBe(401);
  });

  test('no spelling of the path leads there', async () => {
    for (const target of [
      '//internal/echo/mirror',
      '/%69nternal/echo/mirror',
      '/INTERNAL/echo/mirror',
    ])
      expect((await get(target)).status, target).toBe(404);
    for (const target of ['/api/../internal/echo/mirror', '/api/%2e%2e/internal/echo/mirror'])
      expect((await get(target)).status, target).toBe(404);
  });
});

test.each(['/api/v1/echo/', '/api/v1//echo', '/API/v1/echo', '/api/v1/%65cho', '/api/v1/./echo'])(
  '%s is another address, and there is nothing',
  async (path) => {
    expect((await get(path)).status).toBe(404);
  },
);

describe('open mode serves this machine alone', () => {
  const refused = async (...headers: string[]) => {
    const { status, json } = await get('/api/v1/echo', ...headers);
    return [status, json?.code];
  };

  test.each([
    'X-Forwarded-For: 10.0.0.1',
    'x_forwarded_for: 10.0.0.1',
    'Forwarded: for=10.0.0.1',
    'Via: 1.1 proxy',
    'X-Real-IP: 10.0.0.1',
    'Origin: http://evil.example',
    'Origin: null',
    'Origin: http://127.0.0.1:1',
    'Host: evil.example',
    'Host: 10.0.0.1:8000',
    'Host: 127.0.0.1.evil.example',
    'Host: localhost@evil.example',
    'Host: gateway:8000',
    'Host:',
  ])('%s', async (line) => {
    expect(await refused(line)).toEqual([403, 'open_mode_refused']);
  });

  test('its own page, whatever name of loopback it was opened by', async () => {
    for (const host of [`localhost:${open.port}`, `[::1]:${open.port}`, '127.0.0.2', 'LOCALHOST'])
      expect((await get('/api/v1/echo', `Host: ${host}`, `Origin: http://${host}`)).status).toBe(
        200,
      );
  });

  test('pages and probes are no exception', async () => {
    for (const path of ['/', '/health', '/metrics', '/openapi.json', '/nothing'])
      expect((await get(path, 'Host: evil.example')).status, path).toBe(403);
  });

  test('ALLOW_OPEN lets addresses and local names in, and no name of public DNS', async () => {
    const wide = await startGateway(
      { HOST: '0.0.0.0', AUTH_MODE: 'open', ALLOW_OPEN: '1' },
      services,
    );
    const status = async (...headers: string[]) => {
      const lines = ['GET /api/v1/echo HTTP/1.1', ...headers, 'Connection: close'];
      return (await sendRaw(wide.port, ...lines)).status;
    };
    for (const host of ['localhost:8000', 'gateway:8000', '172.18.0.5:8000', '[fd00::1]:8000'])
      expect(await status(`Host: ${host}`), host).toBe(200);
    for (const host of ['evil.example', 'gateway.evil.example:8000', 'localhost.', '1.2.3.4.5'])
      expect(await status(`Host: ${host}`), host).toBe(403);
    expect(await status('Host: gateway', 'Origin: http://evil.example')).toBe(403);
    expect(await status('Host: gateway', 'X-Forwarded-For: 10.0.0.1')).toBe(403);
  });

  test('a token is verified when one is sent', async () => {
    const dataDir = temporaryFolder();
    const own = await startGateway({ DATA_DIR: dataDir }, services);
    const token = await mintToken({ dataDir, subject: 'ada', roles: ['customer'], ttlSeconds: 60 });
    const authorized = { headers: { authorization: `Bearer ${token}` } };
    expect((await ask(`${own.url}/api/v1/echo`, authorized)).json.identity).toMatchObject({
      subject: 'ada',
      roles: ['customer'],
    });
    const bad = { headers: { authorization: `Bearer ${token}x` } };
    expect((await ask(`${own.url}/api/v1/echo`, bad)).status).toBe(401);
  });
});

test.each(['open', 'jwt'])('at auth a bad token makes nobody, AUTH_MODE=%s', async (mode) => {
  const auth = mirror({ name: 'auth', path: '/api/v1/auth' });
  const { url } = await startGateway({ AUTH_MODE: mode, RATE_LIMIT: '4' }, [auth, ...services]);
  const ask = (path: string) =>
    fetch(url + path, { headers: { authorization: 'Bearer a.b.c' } }).then((reply) => reply.status);
  expect(await ask('/api/v1/auth/public/door')).toBe(200);
  expect(await ask('/api/v1/auth')).toBe(401);
  expect(await ask('/api/v1/echo/public/door')).toBe(401);
  // It is counted all the same.
  expect(await ask('/api/v1/auth/public/door')).toBe(200);
  expect(await ask('/api/v1/auth/public/door')).toBe(mode === 'jwt' ? 429 : 200);
});

describe('a target in absolute form', () => {
  test('is reduced to its path, its authority is the host', async () => {
    const own = await get(`http://localhost:${open.port}/api/v1/echo?a=b`, 'Host: evil.example');
    expect(own.status).toBe(200);
    expect(own.json?.headers['host']).toBe(`localhost:${open.port}`);
    const foreign = await get('http://evil.example/api/v1/echo', 'Host: localhost');
    expect(foreign.json?.code).toBe('open_mode_refused');
    expect((await get('http://localhost//internal/echo/mirror')).status).toBe(404);
    expect((await get('http://localhost?/api/v1/echo')).head).toContain('text/html');
  });

  test('in jwt mode any host is served', async () => {
    const jwt = await startGateway({ AUTH_MODE: 'jwt' }, services);
    const target = 'http://shop.example/api/v1/echo/public/door';
    const lines = [`GET ${target} HTTP/1.1`, 'Host: other.example', 'Connection: close'];
    expect((await sendRaw(jwt.port, ...lines)).status).toBe(200);
  });
});

describe('/metrics in jwt mode', () => {
  test('is for operators, and for who has the token of the configuration', async () => {
    const dataDir = temporaryFolder();
    const environment = { AUTH_MODE: 'jwt', DATA_DIR: dataDir, METRICS_TOKEN: 'prometheus' };
    const { url } = await startGateway(environment, services);
    const status = async (authorization?: string) => {
      const headers = authorization === undefined ? {} : { authorization };
      return (await fetch(`${url}/metrics`, { headers })).status;
    };
    const tokenOf = async (role: 'customer' | 'operator') =>
      `Bearer ${await mintToken({ dataDir, subject: role, roles: [role], ttlSeconds: 60 })}`;
    expect(await status()).toBe(401);
    expect(await status('Bearer prometheuS')).toBe(401);
    expect(await status('Bearer prometheus')).toBe(200);
    const headers = { authorization: 'Bearer prometheus' };
    for (const path of ['/health', '/api/v1/echo', '/api/v1/echo/public/door'])
      expect((await fetch(url + path, { headers })).status, path).toBe(401);
    expect(await status(await tokenOf('customer'))).toBe(403);
    expect(await status(await tokenOf('operator'))).toBe(200);
  });
});
