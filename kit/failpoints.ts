/**
 * Named failpoints: the step boundaries at which a test may kill, throw, hang or repeat.
 *
 * Off (the map is empty) unless the process was started with FAILPOINTS, for example
 * `FAILPOINTS="payments.charge.after=kill;orders.accept.before_insert=throw*2"`. An action with
 * `*N` happens the first N times the point is passed; `@N` skips the first N passes.
 *
 * `hang` stops the one step, `freeze` the whole process until SIGCONT: what goes on then is a
 * process that has lost its leases without noticing.
 */
import { writeSync } from 'node:fs';
import { sleep } from './clock.ts';

export type FailpointAction = 'kill' | 'throw' | 'hang' | 'freeze' | 'delay' | 'duplicate';
interface Armed {
  readonly action: FailpointAction;
  skip: number;
  left: number;
}

const armed = new Map<string, Armed>();

const ARMING = /^([a-z_.]+)=(kill|throw|hang|freeze|delay|duplicate)(?:\*(\d+))?(?:@(\d+))?$/;

/** Every failpoint in the code, so that a matrix can walk them; a test keeps it whole. */
export const FAILPOINTS = [
  'orders.accept.before_insert',
  'orders.accept.after_commit',
  'orders.checkout.after_store',
  'orders.checkout.charged',
  'orders.checkout.before_commit',
  'orders.checkout.after_commit',
  'orders.checkout.notified',
  'orders.place.claimed',
  'orders.place.asked',
  'orders.place.reserved',
  'orders.expire.before_commit',
  'orders.cancel.before_commit',
  'orders.cancel.after_commit',
  'log.sequence.after_commit',
  'log.publish.before',
  'log.publish.after',
  'log.publish.recorded',
  'consumer.before_handle',
  'consumer.singly.before_handle',
  'consumer.before_commit',
  'consumer.after_commit',
  'consumer.pull.before',
  'tasks.after_claim',
  'payments.open.after_commit',
  'payments.begin.before_commit',
  'payments.charge.before',
  'payments.ask.after',
  'payments.charge.after',
  'payments.settle.before_commit',
  'payments.settle.after_commit',
  'payments.callback.before_commit',
  'payments.callback.after_commit',
  'payments.refund.before',
  'payments.refund.after',
  'payments.refund.before_commit',
  'payments.refund.after_commit',
  'billing.charge.before',
  'billing.charge.after_commit',
  'billing.refund.before',
  'billing.refund.after_commit',
  'auth.register.before_commit',
  'auth.register.begun',
  'auth.register.profile_made',
  'auth.register.account_opened',
  'auth.register.before_completion',
  'auth.register.completed',
  'auth.undo.begun',
  'auth.undo.account_closed',
  'auth.undo.profile_removed',
  'auth.undo.before_commit',
] as const;
export type FailpointName = (typeof FAILPOINTS)[number];

/** The points after which a step can be done twice; elsewhere `duplicate` changes nothing. */
export const REPEATABLE: readonly FailpointName[] = [
  'log.publish.after',
  'consumer.after_commit',
  'orders.place.asked',
  'payments.charge.after',
  'payments.refund.after',
];

/** Arms the points named in the text; a process does it once, at start. */
export function armFailpoints(text: string): void {
  for (const part of text.split(';')) {
    if (part.trim() === '') continue;
    const match = ARMING.exec(part.trim());
    if (match === null || !FAILPOINTS.includes(match[1] as FailpointName))
      throw new Error(`FAILPOINTS: "${part.trim()}" is not name=action[*times][@skip]`);
    armed.set(match[1] as string, {
      action: match[2] as FailpointAction,
      left: match[3] === undefined ? 1 : Number(match[3]),
      skip: match[4] === undefined ? 0 : Number(match[4]),
    });
  }
}

/** Passes the point. Returns true when the step that follows shall be done twice. */
export async function failpoint(name: FailpointName): Promise<boolean> {
  if (armed.size === 0) return false;
  const point = armed.get(name);
  if (point === undefined || point.left === 0) return false;
  if (point.skip > 0) {
    point.skip--;
    return false;
  }
  point.left--;
  // Not through the logger, which writes later: this process may not live so long.
  writeSync(2, `${JSON.stringify({ level: 'warn', failpoint: name, action: point.action })}\n`);
  switch (point.action) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      await sleep(60_000);
      return false;
    case 'throw':
      throw new Error(`failpoint ${name}`);
    case 'hang':
      await sleep(24 * 3600_000);
      return false;
    case 'freeze':
      process.kill(process.pid, 'SIGSTOP');
      return false;
    case 'delay':
      await sleep(500);
      return false;
    case 'duplicate':
      return true;
  }
}
