/**
 * A10: every service called straight on its port, without a gateway in front: nobody is believed
 * who is not signed for this very service, whatever else the request says.
 */
import { describe, expect, test } from 'vitest';
import { openIdentitySigner } from '@waybill/kit/identity.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';
import { serviceNames } from '../../../apps/server/services.ts';
import { expectRefusal } from '../client.ts';
import { json, type Answer } from '../wire.ts';
import { adam, startPlatform } from './platform.ts';
import { named, pathOf, readRoutes, type TableEntry } from './routes.ts';

const platform = startPlatform(
  {},
  serviceNames.filter((name) => name !== 'gateway'),
);
const guarded = (await readRoutes()).filter(
  ({ service, route }) => service !== 'gateway' && route.access !== 'public',
);

const everything = { subject: 'root', roles: ['service', 'admin', 'operator'] } as const;
const stranger = openIdentitySigner(deriveKey('a secret of somebody else', 'identity'));

function ask({ route }: TableEntry, headers: Record<string, string>): Promise<Answer> {
  const { method, upload } = route;
  const bare = method === 'GET' || method === 'DELETE';
  const type = upload === undefined ? json : { 'content-type': 'application/octet-stream' };
  const body = bare ? {} : { body: '{}' };
  const target = { method, path: pathOf(route), ...body };
  return platform.send(undefined, { ...target, headers: { ...(bare ? {} : type), ...headers } });
}

test('A10 there is something to walk over', () => {
  expect(new Set(guarded.map(({ service }) => service)).size).toBe(serviceNames.length - 1);
});

describe('A10 straight at a service', () => {
  test.each(named(guarded))('%s', async (_name, entry) => {
    const { signer } = platform;
    const good = signer.sign(everything, entry.service);
    const [payload = '', signature = ''] = good.split('.');
    const claims: Record<string, string>[] = [
      {},
      { 'x-username': 'root', 'x-roles': 'admin,service' },
      { x_username: 'root', 'X.Roles': 'admin', 'X-Remote-User': 'root' },
      { waybill_identity: good, 'waybill.identity': good },
      { 'waybill-identity': payload },
      { 'waybill-identity': `${payload}.` },
      { 'waybill-identity': `${payload}.${signature.slice(1)}A` },
      { 'waybill-identity': signer.sign(everything, 'another') },
      { 'waybill-identity': stranger.sign(everything, entry.service) },
    ];
    for (const claim of claims) {
      expectRefusal(await ask(entry, claim), 401, 'unauthenticated');
    }
    const believed = await ask(entry, { 'waybill-identity': good });
    expect(['unauthenticated', 'forbidden']).not.toContain(believed.json['code']);
  });

  test('a token is none of their business', async () => {
    for (const entry of guarded) {
      const { method } = entry.route;
      const { status } = await platform.send(adam, { method, path: pathOf(entry.route) });
      expect([401, 415], entry.name).toContain(status);
    }
  });
});
