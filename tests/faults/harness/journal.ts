/**
 * The client journal: one line per HTTP attempt, written by the harness, which the system under
 * test cannot edit. An attempt ends `ok`, `fail` (a definite no) or `unknown` (no answer, or one
 * that does not tell whether it took effect).
 */
import { closeSync, openSync, writeSync } from 'node:fs';

export type Operation = 'create' | 'get' | 'cancel' | 'other';
export type Outcome = 'ok' | 'fail' | 'unknown';

/** In the shape that `waybill verify --client` reads. */
export interface Attempt {
  readonly client: string;
  readonly seq: number;
  readonly op: Operation;
  readonly outcome: Outcome;
  readonly http: number | null;
  readonly order_id: string | null;
  readonly idem_key: string | null;
  readonly version: number | null;
  readonly sent_at: string;
  readonly took_ms: number;
}

export interface ClientJournal {
  readonly file: string;
  readonly attempts: readonly Attempt[];
  record(attempt: Omit<Attempt, 'seq'>): void;
  close(): void;
}

export function openClientJournal(file: string): ClientJournal {
  const descriptor = openSync(file, 'a');
  const attempts: Attempt[] = [];
  return {
    file,
    attempts,
    record(attempt) {
      const line = { ...attempt, seq: attempts.length + 1 };
      attempts.push(line);
      writeSync(descriptor, `${JSON.stringify(line)}\n`);
    },
    close: () => closeSync(descriptor),
  };
}
