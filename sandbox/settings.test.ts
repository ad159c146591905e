import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { parseSettings } from './settings.ts';
import { createFolder } from './testing.ts';

const secrets = { SANDBOX_SECRET: 'a secret', SANDBOX_CALLBACK_SECRET: 'another one' };

test('what is not set has the documented default', () => {
  expect(parseSettings({ ...secrets, SANDBOX_HOST: '', SANDBOX_SEED: ' ' })).toEqual({
    options: {
      host: '127.0.0.1',
      port: 0,
      controlPort: 0,
      dataDir: '.waybill/sandbox',
      secret: 'a secret',
      callbackSecret: 'another one',
      successRate: 0.95,
      latencyMinMs: 50,
      latencyMaxMs: 200,
      allowRemoteControl: false,
    },
    inbox: { host: '127.0.0.1', smtpPort: 0, port: 0, secret: 'a secret', allowRemote: false },
    sources: { host: '127.0.0.1', port: 0, secret: 'a secret', allowRemote: false },
  });
});

test('everything can be set', () => {
  const environment = {
    ...secrets,
    SANDBOX_HOST: '0.0.0.0',
    SANDBOX_PORT: '8100',
    SANDBOX_DATA_DIR: '/var/lib/sandbox',
    SANDBOX_CALLBACK_URL: 'http://gateway:8000/callbacks',
    SANDBOX_SEED: '0',
    SANDBOX_CONTROL_ANY: '1',
    SANDBOX_SMTP_PORT: '8102',
    SANDBOX_INBOX_PORT: '8103',
    PAYMENT_MOCK_SUCCESS_RATE: '1',
    PAYMENT_MOCK_LATENCY_MIN: '0',
    PAYMENT_MOCK_LATENCY_MAX: '0.5',
  };
  expect(parseSettings(environment)).toMatchObject({
    options: {
      host: '0.0.0.0',
      port: 8100,
      controlPort: 8101,
      dataDir: '/var/lib/sandbox',
      callbackUrl: 'http://gateway:8000/callbacks',
      seed: 0,
      allowRemoteControl: true,
      successRate: 1,
      latencyMinMs: 0,
      latencyMaxMs: 0.5,
    },
    inbox: { host: '0.0.0.0', smtpPort: 8102, port: 8103, allowRemote: true },
  });
  expect(parseSettings({ ...environment, SANDBOX_CONTROL_PORT: '9000' })).toMatchObject({
    options: { port: 8100, controlPort: 9000 },
  });
});

test('secrets are read from files too', async () => {
  const file = join(await createFolder(), 'secret');
  await writeFile(file, 'from a file\n');
  const environment = {
    SANDBOX_SECRET_FILE: file,
    SANDBOX_CALLBACK_SECRET_FILE: `${file}.missing`,
  };
  const parsed = parseSettings(environment);
  expect(parsed).toEqual({ faults: [expect.stringContaining('SANDBOX_CALLBACK_SECRET_FILE')] });
  expect(
    parseSettings({ ...secrets, SANDBOX_SECRET: '', SANDBOX_SECRET_FILE: file }),
  ).toMatchObject({ options: { secret: 'from a file' } });
});

test.each([
  ['SANDBOX_PORT', '70000'],
  ['SANDBOX_PORT', '80.5'],
  ['SANDBOX_PORT', '65535'],
  ['SANDBOX_CONTROL_PORT', '-1'],
  ['SANDBOX_SECRET', 'short'],
  ['SANDBOX_CALLBACK_URL', 'ftp://somewhere'],
  ['SANDBOX_CALLBACK_URL', 'http://'],
  ['SANDBOX_SEED', 'luck'],
  ['SANDBOX_CONTROL_ANY', 'yes'],
  ['PAYMENT_MOCK_SUCCESS_RATE', '1.01'],
  ['PAYMENT_MOCK_SUCCESS_RATE', 'NaN'],
  ['PAYMENT_MOCK_LATENCY_MIN', '201'],
  ['PAYMENT_MOCK_LATENCY_MAX', '1e2'],
])('%s=%s is a fault', (name, value) => {
  const parsed = parseSettings({ ...secrets, [name]: value });
  expect(parsed).toEqual({ faults: [expect.stringContaining(name)] });
});
