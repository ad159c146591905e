/**
 * A05: what the auth service takes back, the gateway refuses within its bound, although it has the
 * token in its memory. Both are the real ones here.
 */
import { expect, test } from 'vitest';
import { REFUSED_WITHIN_MS } from '@waybill/gateway/revocations.ts';
import { changeUser } from '@waybill/auth/administration.ts';
import { expectRefusal } from '../client.ts';
import { startPlatform } from './platform.ts';

const platform = startPlatform();
const PASSWORD = 'correct horse battery staple';

interface Session {
  readonly username: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

let count = 0;

async function register(): Promise<Session> {
  const username = `ada-${++count}`;
  const contact = { email: `${username}@example.com`, phone: '+15550100' };
  const body = { username, ...contact, password: PASSWORD, login: true };
  const answer = await platform.send(undefined, { path: '/api/v1/auth/register', body });
  expect(answer.status, answer.text).toBe(201);
  return { username, ...(answer.json as Pick<Session, 'accessToken' | 'refreshToken'>) };
}

async function logIn(username: string): Promise<Session> {
  const body = { username, password: PASSWORD };
  const answer = await platform.send(undefined, { path: '/api/v1/auth/login', body });
  expect(answer.status, answer.text).toBe(200);
  return { username, ...(answer.json as Pick<Session, 'accessToken' | 'refreshToken'>) };
}

const bearer = ({ accessToken }: Session) => ({ authorization: `Bearer ${accessToken}` });

/** Reads the own wallet, behind another service than the one that took the token back. */
const look = (session: Session, path = '/api/v1/billing/account/balance') =>
  platform.send(undefined, { path, headers: bearer(session) });
const post = (session: Session, path: string, body: object) =>
  platform.send(undefined, { path, headers: bearer(session), body });

async function expectRefusedSoon(session: Session): Promise<void> {
  const begun = performance.now();
  const status = async () => (await look(session)).status;
  await expect.poll(status, { timeout: 2 * REFUSED_WITHIN_MS, interval: 50 }).toBe(401);
  expect(performance.now() - begun).toBeLessThan(REFUSED_WITHIN_MS);
  expectRefusal(await look(session), 401, 'unauthenticated');
}

test('A05 a session that was ended, and no other of the same person', async () => {
  const session = await register();
  const other = await logIn(session.username);
  for (const one of [session, other]) expect((await look(one)).status).toBe(200);
  const { refreshToken } = session;
  expect((await post(session, '/api/v1/auth/logout', { refreshToken })).status).toBe(204);
  await expectRefusedSoon(session);
  expect((await look(other)).status).toBe(200);
});

test('A05 every session but the own after a change of the password', async () => {
  const session = await register();
  const stolen = await logIn(session.username);
  for (const one of [session, stolen]) expect((await look(one)).status).toBe(200);
  const change = { currentPassword: PASSWORD, newPassword: `${PASSWORD}!` };
  expect((await post(session, '/api/v1/auth/password', change)).status).toBeLessThan(300);
  await expectRefusedSoon(stolen);
});

test('A05 somebody who was disabled, and rights that were taken away', async () => {
  const [disabled, lowered] = [await register(), await register()];
  const change = (session: Session, rights: ReturnType<Parameters<typeof changeUser>[2]>) =>
    platform.inAuth((tx) => changeUser(tx, session.username, () => rights));
  for (const one of [disabled, lowered]) expect((await look(one)).status).toBe(200);
  await change(disabled, { state: 'disabled' });
  await change(lowered, { roles: ['executor'], executorId: 'e-1' });
  for (const one of [disabled, lowered]) await expectRefusedSoon(one);
  const again = await logIn(lowered.username);
  expectRefusal(await look(again), 403, 'forbidden');
  const body = { username: disabled.username, password: PASSWORD };
  const refused = await platform.send(undefined, { path: '/api/v1/auth/login', body });
  expectRefusal(refused, 401, 'invalid_credentials');
});

test('A05 somebody who was erased', async () => {
  const session = await register();
  expect((await look(session)).status).toBe(200);
  const path = `/api/v1/user/${session.username}`;
  const sent = { method: 'DELETE', path, headers: bearer(session) };
  expect((await platform.send(undefined, sent)).status).toBe(200);
  // The news travels to auth first, then to the gateway.
  const status = async () => (await look(session)).status;
  await expect.poll(status, { timeout: 3 * REFUSED_WITHIN_MS, interval: 50 }).toBe(401);
});
