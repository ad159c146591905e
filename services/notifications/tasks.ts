/** Sending, and forgetting a person. */
import { Outage } from '@waybill/kit/errors.ts';
import { random } from '@waybill/kit/ids.ts';
import type { TaskHandler, TaskRun } from '@waybill/kit/tasks.ts';
import { counter } from '@waybill/kit/telemetry.ts';
import { SEND } from './commands.ts';
import type { Channel } from './contract.ts';
import type { NotificationsContext } from './context.ts';
import { afterDeadline, afterSending } from './rules.ts';
import { deleteOfPerson, findWaiting, recordSending, type WaitingSending } from './store.ts';
import { word } from './templates.ts';

/** The task that forgets what an erased person was told. */
export const FORGET = 'notifications.forget';

const sent = counter('waybill_notifications_total', 'Tries to send, by outcome', [
  'channel',
  'outcome',
]);

/**
 * Sends through one channel. The try is recorded after it: a process that dies in between sends
 * once more, and the Message-ID tells that it is the same.
 */
function sendTask(channel: Channel): TaskHandler<NotificationsContext> {
  return {
    kind: SEND[channel],
    room: (running, { channels }) => channels[channel].room(running),
    timeoutMs: 150_000,
    maxAttempts: 20,
    async run(task, context) {
      const waiting = await findWaiting(context.db, task.key, channel);
      if (waiting === undefined) return;
      const next = waiting.deadline_passed
        ? afterDeadline(waiting)
        : afterSending(
            waiting,
            await trySending(task, channel, waiting, context),
            context.settings,
          );
      if (task.signal.aborted) throw new Outage('lease', 'the task ran out of time');
      await context.db.transaction(async (tx) => {
        await recordSending(tx, task.key, channel, next);
        if (next.delayMs === null) await task.finish(tx);
        else await task.again(tx, next.delayMs * (0.5 + random() / 2));
      });
      sent.inc({ channel, outcome: next.entry?.outcome ?? 'outage' });
    },
  };
}

async function trySending(
  task: TaskRun,
  channel: Channel,
  waiting: WaitingSending,
  { channels }: NotificationsContext,
) {
  const { id, type, username, text, data, address, created_at } = waiting;
  const words = word(waiting.template, { type, username, text, data: data ?? {} });
  const message = { id, address, type, createdAt: created_at, words };
  return channels[channel].send(message, task.signal);
}

const forgetTask: TaskHandler<NotificationsContext> = {
  kind: FORGET,
  room: (running) => 2 - running,
  timeoutMs: 120_000,
  maxAttempts: 20,
  async run(task, { db }) {
    const { until } = task.payload as { until: string };
    while ((await db.transaction((tx) => deleteOfPerson(tx, task.key, until))) > 0);
  },
};

export const tasks: readonly TaskHandler<NotificationsContext>[] = [
  sendTask('email'),
  sendTask('phone'),
  forgetTask,
];
