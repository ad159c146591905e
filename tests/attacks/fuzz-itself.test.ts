/** A fuzzer that finds nothing has to show that it would have. */
import { expect, test } from 'vitest';
import { startFaulty, type Fault } from './fuzz/faulty-server.ts';
import { describeReport } from './fuzz/report.ts';
import { fuzz } from './fuzz/run.ts';
import type { FailureKind } from './fuzz/verdicts.ts';

async function findings(fault: Fault) {
  const { url, close } = await startFaulty(fault);
  try {
    return await fuzz({ url, requests: 600, seed: 7, lanes: 2 });
  } finally {
    close();
  }
}

test('a server that keeps its document is left in peace', async () => {
  const report = await findings('nothing');
  expect(report.findings, describeReport(report)).toEqual([]);
  expect(report.requests).toBeGreaterThanOrEqual(600);
});

test.each<[Fault, FailureKind]>([
  ['crashes on other letters', 'server error'],
  ['hangs up on a long name', 'no answer'],
  ['answers 418', 'undocumented status'],
  ['answers text', 'undocumented content type'],
  ['forgets the name', 'body not as documented'],
  ['accepts anything', 'wrong request accepted'],
  ['refuses good names', 'fitting request refused'],
  ['tells its stack', 'inner workings told'],
  ['is overloaded and says no more', 'overload without Retry-After'],
  ['sends its clients nowhere', 'location leads nowhere'],
  ['forgets its keys', 'replay differs'],
])('a server that %s is found out: %s', async (fault, kind) => {
  const report = await findings(fault);
  expect(
    report.findings.map((finding) => finding.kind),
    describeReport(report),
  ).toContain(kind);
});

test('a finding is small, and can be sent again by hand', async () => {
  const report = await findings('crashes on other letters');
  const finding = report.findings.find((one) => one.kind === 'server error');
  expect(finding?.curl).toMatch(
    /^curl -sS -g -X POST .*--data-binary '.{1,120}' 'http.*\/things'$/su,
  );
  expect(finding?.answer).toContain('500');
});

test('the same seed makes the same requests', async () => {
  const [first, second] = [await findings('nothing'), await findings('nothing')];
  expect(second.verdicts).toEqual(first.verdicts);
  expect(second.answers).toEqual(first.answers);
});
