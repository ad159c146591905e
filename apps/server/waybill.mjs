#!/usr/bin/env node
// The command. Whatever Node started it, it goes on under the one that npm installed with it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

const PINNED = '26.10.0';

if (process.versions.node === PINNED) {
  enableCompileCache();
  const { main } = await import('./main.ts');
  await main(process.argv);
} else {
  const node = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
  if (!existsSync(node) || process.env.WAYBILL_REEXECUTED === '1') {
    console.error(
      `Waybill runs on Node ${PINNED}, which "npm ci" installs with it; this is ${process.versions.node}. ` +
        'Run "npm ci" in the folder of the checkout, with install scripts allowed.',
    );
    process.exit(1);
  }
  const result = spawnSync(node, process.argv.slice(1), {
    stdio: 'inherit',
    env: { ...process.env, WAYBILL_REEXECUTED: '1' },
  });
  process.exit(result.status ?? 1);
}
