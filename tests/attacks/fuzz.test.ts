/** The fuzzer against the running server: the same documents that clients read, held against it. */
import { expect, test } from 'vitest';
import { startOnce } from './client.ts';
import { describeReport } from './fuzz/report.ts';
import { fuzz } from './fuzz/run.ts';

const target = startOnce();
const requests = Number(process.env.FUZZ_REQUESTS ?? 1500);
/** The same every time, so that a change is judged by itself; the soak draws a new one. */
const seed = Number(process.env.FUZZ_SEED ?? 149_255);

/** What no request without a secret or without a fault before it can get through. */
const neverAccepted = [
  'postPaymentsCallbacks',
  'postDeadLetters',
  // Pictures are not made of JSON, and without one there is none to look at.
  'postPetPetIdUploadImage',
  'getPhotosId',
  // Nobody has told it a password or a mailed link, and the demo admin has no account.
  'login',
  'refresh',
  'verifyEmail',
  'confirmPasswordReset',
  'changePassword',
  'readMe',
  'resendVerification',
];

test(`${requests} requests, seed ${seed}`, { timeout: 60_000 + requests * 100 }, async () => {
  const report = await fuzz({ url: target.process.url, requests, seed });
  const shown = describeReport(report);
  console.log(shown);
  expect(report.findings, shown).toEqual([]);
  expect(report.requests).toBeGreaterThanOrEqual(requests);
  expect(report.verdicts.fits).toBeGreaterThan(requests / 5);
  expect(report.verdicts.wrong).toBeGreaterThan(requests / 5);
  // A fuzzer whose requests are all refused at the door has seen nothing of the house. With so few
  // requests to an operation, those that need an object in the right state may miss it.
  const refusedAll = Object.entries(report.answers)
    .filter(([, counts]) => !Object.keys(counts).some((status) => status.startsWith('2')))
    .map(([operation]) => operation)
    .filter((operation) => !neverAccepted.some((name) => operation.startsWith(name)));
  const operations = Object.keys(report.answers).length;
  expect(refusedAll.length, refusedAll.join(' ')).toBeLessThan(operations / 2);
});
