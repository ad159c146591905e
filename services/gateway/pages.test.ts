import { afterEach, expect, test } from 'vitest';
import {
  freePort,
  mirror,
  start,
  startGateway,
  stop,
  stopAll,
} from '../../tests/support/entrance.ts';

afterEach(stopAll);

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, { operationId: string; tags: string[] }>>;
  readonly tags: readonly { readonly name: string }[];
}

const documentOf = async (url: string) => {
  const reply = await fetch(`${url}/openapi.json`);
  expect(reply.status).toBe(200);
  return (await reply.json()) as Document;
};

test('every page stands under a policy that lets nothing in from elsewhere', async () => {
  const { url } = await startGateway();
  for (const path of ['/', '/docs', '/redoc']) {
    const reply = await fetch(url + path);
    expect(reply.status, path).toBe(200);
    expect(reply.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(reply.headers.get('x-content-type-options')).toBe('nosniff');
    expect(reply.headers.get('referrer-policy')).toBe('no-referrer');
    const policy = reply.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/https?:|\*|upgrade-insecure-requests|unsafe-eval/);
    expect(policy).not.toMatch(/script-src[^;]*unsafe-inline/);
    const html = await reply.text();
    expect(html).not.toMatch(/<script(?![^>]*\ssrc="\/)|\son\w+=|(src|href)="(https?:)?\/\//);
    for (const [, file] of html.matchAll(/(?:src|href)="(\/[^"]*)"/g))
      expect((await fetch(url + file)).status, file).toBe(200);
  }
});

test('the start page lists the doors, each of which is there', async () => {
  const { url } = await startGateway();
  const html = await (await fetch(url)).text();
  const calls = [...html.matchAll(/<dt><code>POST (\/[^<]+)<\/code>/g)].map(([, path]) => path!);
  expect(calls).toEqual([
    '/api/v1/orders',
    '/api/v1/order',
    '/api/v3/store/order',
    '/api/v1/dispatch/assignments',
    '/api/v1/auth/register',
  ]);
  // Each of them leads to a service, which is not running here.
  for (const path of calls)
    expect((await fetch(url + path, { method: 'POST' })).status, path).toBe(503);
});

test('pages that mailed links lead to load their own files alone, wherever they lie', async () => {
  const { url } = await startGateway({ AUTH_MODE: 'jwt' });
  for (const path of ['/account/verify', '/account/reset']) {
    const reply = await fetch(url + path);
    expect(reply.status, path).toBe(200);
    const policy = reply.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'self';.* script-src 'self'; style-src 'self'$/);
    expect(reply.headers.get('referrer-policy')).toBe('no-referrer');
    const html = await reply.text();
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=")|<style|\son\w+=|\sstyle=/);
    const files = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, file]) => file!);
    expect(files).toHaveLength(3);
    for (const file of files) {
      // Below a path that a proxy takes off, they are asked for below it too.
      const below = new URL(file, `https://shop.example/base${path}`);
      expect(below.pathname).toMatch(/^\/base\//);
      const asked = await fetch(url + below.pathname.slice('/base'.length));
      expect(asked.status, file).toBe(200);
    }
    const to = /data-to="([^"]*)"/.exec(html)?.[1] ?? '';
    expect(new URL(to, `https://shop.example${path}`).pathname).toMatch(/^\/api\/v1\/auth\//);
  }
});

test('files carry an ETag and are not sent twice', async () => {
  const { url } = await startGateway();
  for (const file of ['/docs/swagger-ui.css', '/docs/start.js', '/redoc/redoc.standalone.js']) {
    const first = await fetch(url + file);
    expect((await first.text()).length).toBeGreaterThan(100);
    expect(first.headers.get('cache-control')).toContain('max-age');
    const etag = first.headers.get('etag') ?? '';
    const again = await fetch(url + file, { headers: { 'if-none-match': etag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    const changed = await fetch(url + file, { headers: { 'if-none-match': '"other"' } });
    expect(changed.status).toBe(200);
    await changed.text();
  }
});

test('ReDoc is served without what leads out of here', async () => {
  const { url } = await startGateway();
  const script = await (await fetch(`${url}/redoc/redoc.standalone.js`)).text();
  expect(script).toContain('/redoc/logo.svg');
  expect(script).not.toMatch(/cdn\.redoc\.ly\/redoc\/logo-mini-full|showPageActions:!0/);
});

test('only what is listed is served', async () => {
  const { url } = await startGateway();
  for (const path of [
    '/docs/index.html',
    '/docs/',
    '/docs/..%2fpackage.json',
    '/redoc/package.json',
  ])
    expect((await fetch(url + path)).status, path).toBe(404);
});

test('pages need no token in jwt mode', async () => {
  const { url } = await startGateway({ AUTH_MODE: 'jwt' });
  for (const path of [
    '/',
    '/docs',
    '/redoc',
    '/account/reset',
    '/openapi.json',
    '/health',
    '/livez',
    '/readyz',
  ])
    expect((await fetch(url + path)).status, path).toBe(200);
});

test('the document has the services of this process and of others, and its own pages', async () => {
  const orders = await start([mirror({ name: 'orders', path: '/api/v1/orders' })]);
  const away = `http://127.0.0.1:${await freePort()}`;
  const discovery = { DISCOVERY_URL: `static:orders=${orders.url},payments=${away}` };
  const { url } = await startGateway(discovery, [mirror({ name: 'echo', path: '/api/v1/echo' })]);
  const document = await documentOf(url);
  expect(document.openapi).toBe('3.1.0');
  expect(document.tags.map(({ name }) => name)).toEqual(['echo', 'orders', 'platform']);
  const paths = Object.keys(document.paths);
  for (const path of ['/api/v1/echo', '/api/v1/orders/{id}', '/health', '/metrics'])
    expect(paths).toContain(path);
  expect(paths.filter((path) => path.includes('internal'))).toEqual([]);
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  await stop(orders);
  expect(Object.keys((await documentOf(url)).paths)).toEqual(paths);
});
