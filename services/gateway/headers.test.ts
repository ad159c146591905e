import { describe, expect, test } from 'vitest';
import { forwardingHeader, isCanonical, keepAllowed } from './headers.ts';

test('of the header fields only those on the list are kept', () => {
  const kept = keepAllowed({
    accept: 'application/json',
    authorization: 'Bearer x',
    connection: 'x-username',
    cookie: 'a=b',
    'idempotency-key': 'k',
    'waybill-deadline-ms': '1',
    'waybill-identity': 'x',
    'x-roles': 'admin',
    'x-username': 'admin',
    'x.username': 'admin',
    x_username: 'admin',
  });
  expect(kept).toEqual({ accept: 'application/json', 'idempotency-key': 'k' });
});

test.each(['forwarded', 'via', 'x-forwarded-for', 'x_forwarded_for', 'x-forwarded', 'x-real-ip'])(
  '%s is what a proxy adds',
  (name) => {
    expect(forwardingHeader({ host: 'localhost', [name]: '1' })).toBe(name);
  },
);

test('a browser and curl add nothing that a proxy adds', () => {
  const names = ['accept-encoding', 'cookie', 'sec-fetch-site', 'user-agent', 'x-request-id'];
  expect(forwardingHeader(Object.fromEntries(names.map((name) => [name, '1'])))).toBeUndefined();
});

describe('a path has one spelling', () => {
  test.each([
    '/',
    '/?a=//..',
    '/api/v1/orders',
    '/api/v1/orders?status=%41&q=a/../b',
    '/api/v1/orders/01a1f7ed-c8c0-72f6-9205-813d8a36bf95',
    '/api/v1/users/jos%C3%A9',
    '/api/v1/users/a%20b@example.com',
    '/api/v1/orders/.hidden',
    '/api/v1/orders/a..b',
    '/.well-known/jwks.json',
  ])('%s is one', (target) => {
    expect(isCanonical(target)).toBe(true);
  });

  test.each([
    '',
    '*',
    'api/v1/orders',
    '//api/v1/orders',
    '/api//v1/orders',
    '/api/v1/orders/',
    '/api/v1/./orders',
    '/api/v1/x/../orders',
    '/api/v1/..',
    '/api/v1/%2e%2e/orders',
    '/api/v1/%2E/orders',
    '/api/v1%2Forders',
    '/api/v1%5corders',
    '/api/v1/%6frders',
    '/%69nternal/log/orders',
    '/api/v1/orders%00',
    '/api/v1/orders%0d%0a',
    '/api/v1/orders%',
    '/api/v1/orders%4',
    '/api/v1/orders%zz',
    '/api/v1\\orders',
    '/api/v1/orders;a=b',
    '/internal/x#/api/v1/orders',
    '/api/v1/orders\u00e9',
  ])('%s is none', (target) => {
    expect(isCanonical(target)).toBe(false);
  });
});
