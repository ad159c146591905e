/**
 * Named failpoints: the step boundaries at which a test may kill, throw, hang or repeat.
 *
 * Off (the map is empty) unless the process was started with FAILPOINTS, for example
 * `FAILPOINTS="payments.after_charge=kill;orders.accept.before_commit=throw*2"`. An action with
 * `*N` happens the first N times the point is passed; `@N` skips the first N passes.
 */
import { sleep } from './clock.ts';

export type FailpointAction = 'kill' | 'throw' | 'hang' | 'delay' | 'duplicate';
interface Armed {
  readonly action: FailpointAction;
  skip: number;
  left: number;
}

const armed = new Map<string, Armed>();

/** Every failpoint in the code, so that a matrix can walk them; a repository test keeps it whole. */
export const FAILPOINTS = [
  'orders.accept.before_insert',
  'orders.accept.after_commit',
  'log.sequence.after_commit',
  'log.publish.before',
  'log.publish.after',
  'consumer.before_handle',
  'consumer.before_commit',
  'consumer.after_commit',
  'tasks.after_claim',
  'payments.begin.before_commit',
  'payments.charge.before',
  'payments.charge.after',
  'payments.settle.before_commit',
  'payments.settle.after_commit',
] as const;
export type FailpointName = (typeof FAILPOINTS)[number];

/** Arms the points named in the text; a process does it once, at start. */
export function armFailpoints(text: string): void {
  for (const part of text.split(';')) {
    if (part.trim() === '') continue;
    const match = /^([a-z_.]+)=(kill|throw|hang|delay|duplicate)(?:\*(\d+))?(?:@(\d+))?$/.exec(part.trim());
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
    case 'delay':
      await sleep(500);
      return false;
    case 'duplicate':
      return true;
  }
}
