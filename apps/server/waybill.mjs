#!/usr/bin/env node
// The command. Whatever Node started it, it goes on under the one that npm installed with it, so
// nothing here may need a new one.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PINNED = '26.10.0';

if (process.versions.node === PINNED) {
  const { enableCompileCache } = await import('node:module');
  enableCompileCache();
  const { main } = await import('./main.ts');
  await main(process.argv);
} else {
  const node = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
  if (!existsSync(node) || process.env.WAYBILL_REEXECUTED === '1') {
    console.error(
      `Waybill runs on Node ${PINNED}, which "npm ci" installs with it; this is ` +
        `${process.versions.node}. ` +
        'Run "npm ci" in the folder of the checkout, with install scripts allowed.',
    );
    process.exit(1);
  }
  const environment = { ...process.env, WAYBILL_REEXECUTED: '1' };
  const rest = process.argv.slice(1);
  // In place of this process where that can be done: then its pid is the command's, for signals.
  if (typeof process.execve === 'function') process.execve(node, [node, ...rest], environment);
  const child = spawn(node, rest, { stdio: 'inherit', env: environment });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])
    process.on(signal, () => {
      // From a terminal Ctrl-C reaches the child as well; twice would mean: at once.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  child.on('exit', (code, signal) => {
    for (const name of process.eventNames()) process.removeAllListeners(name);
    if (signal !== null) process.kill(process.pid, signal);
    process.exit(code ?? 1);
  });
}
