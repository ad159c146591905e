import type { Socket } from 'node:net';

import { createCallbacks } from './callbacks.ts';
import { createControl } from './control.ts';
import { createCounters } from './counters.ts';
import { openJournal } from './journal.ts';
import { createLedger } from './ledger.ts';
import { startListener } from './listener.ts';
import type { Listener } from './listener.ts';
import { createMisbehaviour } from './misbehaviour.ts';
import type { Settings } from './misbehaviour.ts';
import { createProvider } from './provider.ts';
import { createTurns } from './turns.ts';

export interface SandboxOptions {
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
  readonly controlPort: number;
  /** Holds the journal; one sandbox at a time. */
  readonly dataDir: string;
  /** Opens /control and /journal. */
  readonly secret: string;
  /** Signs the callbacks. */
  readonly callbackSecret: string;
  /** Where callbacks go when a request names no place of its own. */
  readonly callbackUrl?: string;
  readonly successRate: number;
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
  readonly seed?: number;
  /** Lets /control and /journal answer other machines too. */
  readonly allowRemoteControl?: boolean;
  /** Called once when the journal can no longer be written; until a restart all answers are 503. */
  readonly onBroken?: (error: Error) => void;
}

export interface Sandbox {
  readonly port: number;
  readonly controlPort: number;
  readonly url: string;
  readonly controlUrl: string;
  close(): Promise<void>;
}

const GRACE_MS = 5_000;
/** No client waits as long; this only bounds what a client that never gives up can pile up. */
const LONGEST_HOLD_MS = 600_000;

/** Starts the simulated payment provider: the charge API, and beside it the operator's side. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const journal = await openJournal(options.dataDir, options.onBroken ?? (() => {}));
  const misbehaviour = createMisbehaviour(options);
  const counters = createCounters();
  const callbacks = createCallbacks(options.callbackSecret);
  const held = createHeld();
  const provider = createProvider({
    journal,
    ledger: createLedger(journal),
    misbehaviour,
    counters,
    callbacks,
    callbackUrl: options.callbackUrl,
    hold: (socket) => held.hold(socket),
  });
  const inTurn = createTurns();
  let listener: Listener | undefined;
  const control = createControl({
    journal,
    secret: options.secret,
    allowRemote: options.allowRemoteControl ?? false,
    settings: () => misbehaviour.settings,
    change: (settings, startOver) =>
      inTurn('mode', async () => {
        misbehaviour.change(settings, startOver);
        if (listener !== undefined) await enforceMode(listener, settings);
      }),
    show: () => ({
      listening: listener?.listening ?? false,
      held: held.count(),
      journal_seq: journal.entries.length,
      callbacks: callbacks.counts(),
      counters: counters.show(),
    }),
  });

  let controlListener: Listener | undefined;
  async function close(): Promise<void> {
    misbehaviour.end();
    held.release();
    await listener?.close(GRACE_MS);
    await controlListener?.close(GRACE_MS);
    await Promise.all([provider.close(), control.close(), callbacks.close()]);
    await journal.close();
  }

  try {
    const onReset = () => counters.countCall('connection_reset');
    listener = await startListener(provider, options.host, options.port, onReset);
    controlListener = await startListener(control, options.host, options.controlPort);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    port: listener.port,
    controlPort: controlListener.port,
    url: toUrl(options.host, listener.port),
    controlUrl: toUrl(options.host, controlListener.port),
    close,
  };
}

async function enforceMode(listener: Listener, settings: Settings): Promise<void> {
  listener.resetAll(settings.mode === 'reset');
  if (settings.mode === 'down') await listener.shut();
  else await listener.open();
}

/** Connections that get no answer. They end when the client gives up, or with the sandbox. */
function createHeld() {
  const sockets = new Set<Socket>();
  let released = false;
  return {
    hold(socket: Socket): void {
      if (released) socket.destroy();
      if (socket.destroyed) return;
      sockets.add(socket);
      const limit = setTimeout(() => socket.destroy(), LONGEST_HOLD_MS);
      socket.once('close', () => {
        clearTimeout(limit);
        sockets.delete(socket);
      });
    },
    count: () => sockets.size,
    /** Drops them, and from then on whoever would be held. */
    release(): void {
      released = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** An address that listens everywhere is reached on loopback. */
function toUrl(host: string, port: number): string {
  if (host === '0.0.0.0') return `http://127.0.0.1:${port}`;
  if (host === '::') return `http://[::1]:${port}`;
  return host.includes(':') ? `http://[${host}]:${port}` : `http://${host}:${port}`;
}
