/**
 * `node tests/attacks/fuzz-main.ts --requests 20000 [--seed 7] [--url http://127.0.0.1:8000]`:
 * fuzzes a server, by default one that it starts itself. Exit code 1 when something is found.
 */
import { parseArgs } from 'node:util';
import { startWaybill } from '../support/waybill.ts';
import { describeReport } from './fuzz/report.ts';
import { fuzz } from './fuzz/run.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    lanes: { type: 'string', default: '8' },
    url: { type: 'string' },
  },
});
const own =
  values.url === undefined ? await startWaybill({ env: { LOG_LEVEL: 'warn' } }) : undefined;
const url = values.url ?? own?.url ?? '';
console.log(`fuzzing ${url} with seed ${values.seed}`);
const report = await fuzz({
  url,
  requests: Number(values.requests),
  seed: Number(values.seed),
  lanes: Number(values.lanes),
});
console.log(describeReport(report));
const errors = own?.output().match(/^.*"level":"(error|fatal)".*$/gm) ?? [];
for (const line of errors.slice(0, 10)) console.log(`server log: ${line}`);
await own?.stop();
process.exitCode = report.findings.length + errors.length === 0 ? 0 : 1;
