/**
 * Links that are mailed: to verify an e-mail address, to set a forgotten password anew. A link's
 * token is derived from the request's id under a key of the installation, so that a repeated
 * mailing sends the same link; only its hash is kept. The mail itself is the notification
 * service's, asked by a task.
 */
import { createHmac } from 'node:crypto';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import type { Tx } from '@waybill/kit/db.ts';
import { newId } from '@waybill/kit/ids.ts';
import { enqueue, type TaskRun } from '@waybill/kit/tasks.ts';
import type { AuthContext } from './context.ts';
import { hashOfToken } from './sessions.ts';
import { findUserByEmail, findUserById, type UserRow } from './store.ts';
import { insertLink, type LinkPurpose } from './views.ts';

export const MAIL = 'mail_link';

type Payload =
  | { readonly purpose: 'verify'; readonly user_id: string }
  | { readonly purpose: 'reset'; readonly email_key: string };

const LINKS: Readonly<
  Record<LinkPurpose, { path: string; template: string; text: string; ttlSeconds: number }>
> = {
  verify: {
    path: '/account/verify',
    template: 'verify_email',
    text: 'Please confirm your e-mail address.',
    ttlSeconds: 7 * 86_400,
  },
  reset: {
    path: '/account/reset',
    template: 'reset_password',
    text: 'A new password was asked for.',
    ttlSeconds: 3600,
  },
};

/** Has a link to verify the user's address mailed. */
export async function askForVerification(tx: Tx, userId: string): Promise<void> {
  const payload = { purpose: 'verify', user_id: userId };
  await enqueue(tx, [{ kind: MAIL, key: newId(), payload }]);
}

/** Has a link to set a new password mailed, if somebody has the address. */
export async function askForReset(tx: Tx, emailKey: string): Promise<void> {
  const payload = { purpose: 'reset', email_key: emailKey };
  await enqueue(tx, [{ kind: MAIL, key: newId(), payload }]);
}

/** Mails one link. */
export async function mailLink(task: TaskRun, context: AuthContext): Promise<void> {
  const payload = task.payload as Payload;
  const user = await addresseeOf(context, payload);
  if (user?.email === undefined || user.email === null || user.email_key === null) return;
  const { path, template, text, ttlSeconds } = LINKS[payload.purpose];
  const token = createHmac('sha256', context.key('mailed-links'))
    .update(`${payload.purpose}\n${task.key}`)
    .digest('base64url');
  const { email_key: emailKey, id: userId, username } = user;
  await context.db.transaction((tx) =>
    insertLink(tx, {
      hash: hashOfToken(token),
      userId,
      purpose: payload.purpose,
      emailKey,
      ttlSeconds,
    }),
  );
  const body = {
    dedupe_key: `auth:${payload.purpose}:${task.key}`,
    notification_type: 'INFO',
    parent_type: 'USER',
    parent_id: userId,
    username,
    text,
    template,
    // After the number sign, which browsers keep to themselves: no server's log has the token.
    data: { link: `${baseOf(context)}${path}#token=${token}`, username },
    contact: { email: user.email },
  };
  const call = { method: 'POST', path: '/internal/notifications', body, idempotent: true } as const;
  await context.client.call('notifications', call, deadlineIn(5000));
}

async function addresseeOf(context: AuthContext, payload: Payload): Promise<UserRow | undefined> {
  const user =
    payload.purpose === 'verify'
      ? await findUserById(context.db, payload.user_id)
      : await findUserByEmail(context.db, payload.email_key);
  return user?.state === 'active' ? user : undefined;
}

function baseOf({ settings, platform }: AuthContext): string {
  const { host, port } = platform;
  const own = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return (settings.publicUrl ?? own).replace(/\/+$/, '');
}
