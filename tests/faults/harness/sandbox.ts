/** The simulated provider as the harness steers and reads it. */
import { readFileSync } from 'node:fs';

export interface SandboxView {
  readonly counters: {
    readonly requests: Readonly<Record<string, number>>;
    readonly outcomes: Readonly<Record<string, number>>;
    readonly calls_per_second: readonly number[];
    readonly present_second: number;
  };
  readonly callbacks: { readonly pending: number; readonly delivered: number };
}

export interface JournalEntry {
  readonly kind: 'charge' | 'decline' | 'void' | 'refund';
  readonly key: string;
  readonly order_id: string;
  readonly charge_id: string | null;
  readonly amount_minor: number;
}

export interface Sandbox {
  control(change: object): Promise<void>;
  view(): Promise<SandboxView>;
  journalFile(): string;
  journal(): JournalEntry[];
}

export function openSandbox(
  controlUrl: () => string,
  secret: string,
  journalFile: string,
): Sandbox {
  const ask = async (init?: RequestInit): Promise<SandboxView> => {
    const reply = await fetch(`${controlUrl()}/control`, {
      ...init,
      headers: { 'x-sandbox-secret': secret, 'content-type': 'application/json' },
    });
    if (!reply.ok) throw new Error(`the sandbox's control answered ${reply.status}`);
    return (await reply.json()) as SandboxView;
  };
  return {
    async control(change) {
      await ask({ method: 'POST', body: JSON.stringify(change) });
    },
    view: () => ask(),
    journalFile: () => journalFile,
    journal: () =>
      readFileSync(journalFile, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as JournalEntry),
  };
}
