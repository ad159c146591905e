/** What auth does later and regularly. */
import type { Sweep } from '@waybill/kit/service.ts';
import type { TaskHandler } from '@waybill/kit/tasks.ts';
import type { AuthContext } from './context.ts';
import { followEmail, FOLLOW, provision, PROVISION } from './administration.ts';
import { MAIL, mailLink } from './links.ts';
import { UNDO, undoRegistration } from './registration.ts';
import { trimExpired } from './views.ts';

const usual = {
  room: (running: number) => 8 - running,
  timeoutMs: 30_000,
  maxAttempts: 10,
} as const;

export const tasks: readonly TaskHandler<AuthContext>[] = [
  { ...usual, kind: UNDO, run: undoRegistration },
  { ...usual, kind: MAIL, run: mailLink },
  { ...usual, kind: PROVISION, run: provision },
  { ...usual, kind: FOLLOW, run: followEmail },
];

export const sweeps: readonly Sweep<AuthContext>[] = [
  {
    name: 'trim what expired',
    everyMs: 60_000,
    run: ({ db, settings }) => trimExpired(db, settings.accessTtlSeconds),
  },
  {
    name: 'change signing keys',
    everyMs: 60_000,
    async run({ keys }) {
      await keys.rotateIfDue();
    },
  },
];
