// `npm run soak -- NAME`: the fault runs of tests/faults at full size, with their figures.
//
//   npm run soak -- matrix  [--engine postgres] [--topology many] [--only charge] [--parallel 2]
//   npm run soak -- kills   [--engine postgres|amqp|redis] [--topology one] [--kills 100]
//   npm run soak -- hostile [--payments 10000]
//   npm run soak -- outage  [--minutes 3]
//   npm run soak -- checkout [--minutes 0.5]
//   npm run soak -- ledger  [--transfers 100000]
//   npm run soak -- mutants [--only refund]
//   npm run soak -- pets    [--engine postgres] [--topology many] [--only reserved] [--minutes 1]
//   npm run soak -- pet-races [--engine postgres] [--topology many] [--rounds 10000]
//   npm run soak -- stock   [--rounds 1000]
//   npm run soak -- dispatch-races [--rounds 100000]
//   npm run soak -- dispatch-kill [--kills 100]
//   npm run soak -- fuzz    [--requests 20000] [--seed N] [--lanes 8]
//
// FAULT_EVIDENCE names a folder for logs and journals of what failed.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { names, soak } from '../tests/faults/soak.ts';

const [name, ...rest] = process.argv.slice(2);
if (name === undefined || name === '--help') {
  const usage = readFileSync(import.meta.filename, 'utf8').split('\nimport ')[0] ?? '';
  console.log(usage.replaceAll(/^\/\/ ?/gm, ''));
  process.exit(name === undefined ? 1 : 0);
}
if (name === 'fuzz') {
  const main = new URL('../tests/attacks/fuzz-main.ts', import.meta.url).pathname;
  process.exit(spawnSync(process.execPath, [main, ...rest], { stdio: 'inherit' }).status ?? 1);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string' },
    topology: { type: 'string' },
    only: { type: 'string' },
    parallel: { type: 'string' },
    kills: { type: 'string' },
    payments: { type: 'string' },
    minutes: { type: 'string' },
    transfers: { type: 'string' },
    rounds: { type: 'string' },
  },
});
const begun = performance.now();
const held = await soak(positionals[0] ?? '', values);
if (held === undefined) console.error(`npm run soak -- ${names.join(' | ')}`);
else
  console.log(
    `${held ? 'held' : 'VIOLATED'}, in ${Math.round((performance.now() - begun) / 1000)} s`,
  );
process.exit(held === true ? 0 : 1);
