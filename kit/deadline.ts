/** Deadlines: a moment until which an answer is of use; it shrinks hop by hop. */
import { monotonicMs } from './clock.ts';

export interface Deadline {
  /** On the monotonic clock of this process. */
  readonly at: number;
}

/** The header that carries what is left, in milliseconds. */
export const DEADLINE_HEADER = 'waybill-deadline-ms';

export function deadlineIn(ms: number): Deadline {
  return { at: monotonicMs() + ms };
}

export function remainingMs(deadline: Deadline): number {
  return Math.max(0, deadline.at - monotonicMs());
}
