import { startSandbox } from './gateway.ts';
import type { Sandbox } from './gateway.ts';
import { startInbox } from './mail/inbox.ts';
import type { Inbox } from './mail/inbox.ts';
import { parseSettings } from './settings.ts';
import { startSources } from './sources.ts';
import type { SandboxSources } from './sources.ts';

const parsed = parseSettings(process.env);
if ('faults' in parsed) {
  for (const fault of parsed.faults) console.error(`sandbox: ${fault}`);
  process.exit(1);
}

// Whoever forked this process is all that wants it. Once they are gone nothing is drained: a
// successor may already be waiting for the journal.
if (process.connected) process.on('disconnect', () => process.exit(0));

let stopping = false;
let sandbox: Sandbox;
let inbox: Inbox;
let sources: SandboxSources;
try {
  sandbox = await startSandbox({ ...parsed.options, onBroken: stopBroken });
  inbox = await startInbox(parsed.inbox);
  sources = await startSources(parsed.sources);
} catch (error) {
  console.error(`sandbox: ${(error as Error).message}`);
  process.exit(1);
}

process.on('SIGTERM', stop);
// Ctrl-C reaches a whole group of processes; a parent that is draining still needs the provider.
process.on('SIGINT', () => {
  if (!process.connected) stop();
});

const ready = {
  type: 'ready',
  port: sandbox.port,
  controlPort: sandbox.controlPort,
  smtpPort: inbox.smtpPort,
  inboxPort: inbox.port,
  sourcesPort: sources.port,
};
if (process.send === undefined) console.log(JSON.stringify(ready));
else process.send(ready);

function stop(): void {
  if (stopping) return;
  stopping = true;
  Promise.all([sandbox.close(), inbox.close(), sources.close()]).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error('sandbox: did not stop cleanly', error);
      process.exit(1);
    },
  );
}

/** Only a restart, which reads the file again, can tell what was kept. */
function stopBroken(error: Error): void {
  console.error('sandbox:', error);
  process.exit(1);
}
