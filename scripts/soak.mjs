// `npm run soak -- NAME`: the fault runs of tests/faults at full size, with their figures.
//
//   npm run soak -- matrix  [--engine postgres] [--topology many] [--only charge] [--parallel 2]
//   npm run soak -- kills   [--engine postgres|amqp|redis] [--kills 100]
//   npm run soak -- hostile [--payments 10000]
//   npm run soak -- outage  [--minutes 3]
//   npm run soak -- mutants [--only refund]
//
// FAULT_EVIDENCE names a folder for logs and journals of what failed.
import { parseArgs } from 'node:util';
import { runs } from '../tests/faults/soak.ts';

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
  },
});
const run = runs[positionals[0] ?? ''];
if (run === undefined) {
  console.error(`npm run soak -- ${Object.keys(runs).join(' | ')}`);
  process.exit(1);
}
const begun = performance.now();
const good = await run(values);
console.log(
  `${good ? 'held' : 'VIOLATED'}, in ${((performance.now() - begun) / 1000).toFixed(0)} s`,
);
process.exit(good ? 0 : 1);
