/** Polls for which there is nothing: when to come back, and the shortest way to say so. */
import { random } from '@waybill/kit/ids.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import type { QuickReply, Shortcut } from '@waybill/kit/shortcuts.ts';
import type { DispatchContext } from './context.ts';

export const POLL_PATH = '/api/v1/dispatch/executors/{executor_id}/acquire';
/** Who asks for work, and who does so for them. */
export const deskOrExecutor = ['executor', 'operator', 'admin', 'service'] as const;

/** Answers polls for which there is nothing; whoever has something goes the usual way. */
export const emptyPolls: Shortcut<DispatchContext> = {
  path: POLL_PATH,
  access: deskOrExecutor,
  answer(executorId, identity, context) {
    if (!isTheirs(identity, executorId)) return undefined;
    return context.acquiring
      .isServed(executorId)
      .then((served) => (served ? undefined : nothing(context)));
  },
};

function isTheirs(identity: Identity, executorId: string): boolean {
  return isStaff(identity) || identity.executorId === executorId;
}

const replies = new Map<string, QuickReply>();

function nothing(context: DispatchContext): QuickReply {
  const seconds = comeBackAfter(context);
  let reply = replies.get(seconds);
  if (reply === undefined) {
    reply = { status: 204, fields: ['retry-after', seconds] };
    replies.set(seconds, reply);
  }
  return reply;
}

/**
 * Seconds until the next poll: a minute, give or take a fifth. A quarter of a million who all were
 * refused at one moment would otherwise come back at one moment too.
 */
export function comeBackAfter({ settings }: DispatchContext): string {
  const { pollSeconds } = settings;
  const [least, most] = [Math.ceil(pollSeconds * 0.8), Math.floor(pollSeconds * 1.2)];
  return String(least + Math.floor(random() * (most - least + 1)));
}
