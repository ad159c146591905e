/** What a person can get wrong is told in a sentence, and nothing is left running. */
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { processesOf, runCommand } from '../support/command.ts';
import { freePort, newDataDir } from '../support/waybill.ts';

const taken: Server[] = [];

/** A port on which somebody else listens. */
async function takenPort(): Promise<string> {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  taken.push(server);
  return String(port);
}

afterEach(() => {
  for (const server of taken.splice(0)) server.close();
});

/** Runs it with a mistake; what it said must be these lines alone. */
async function fails(argv: string[], env: Record<string, string>): Promise<string> {
  const dataDir = env['DATA_DIR'] ?? newDataDir();
  const port = env['PORT'] ?? String(await freePort());
  const { code, stderr } = await runCommand(argv, {
    LOG_LEVEL: 'silent',
    ...env,
    PORT: port,
    DATA_DIR: dataDir,
  });
  expect(code, stderr).toBe(1);
  expect(stderr, 'no stack').not.toMatch(/^\s+at /m);
  expect(processesOf(dataDir)).toEqual([]);
  return stderr.trim();
}

describe('serve', () => {
  test('where the port is in use', async () => {
    const port = await takenPort();
    expect(await fails(['serve'], { PORT: port })).toBe(
      `Port ${port} on 127.0.0.1 is in use; set PORT to a free one.`,
    );
  });

  test('with workers, where the port is in use', async () => {
    const port = await takenPort();
    expect(await fails(['serve', '--workers', '2'], { PORT: port })).toBe(
      `Port ${port} on 127.0.0.1 is in use; set PORT to a free one.`,
    );
  });

  test("where the sandbox's port is in use", async () => {
    const port = await takenPort();
    const told = await fails(['serve'], { SANDBOX_PORT: port });
    expect(told).toMatch(/sandbox/);
    expect(told).toContain(port);
  });

  test('where HOST is not an address of this machine', async () => {
    const told = await fails(['serve'], {
      HOST: '192.0.2.1',
      AUTH_MODE: 'jwt',
      PAYMENT_PROVIDER: 'sandbox',
    });
    expect(told).toBe('HOST=192.0.2.1 is not an address of this machine.');
  });

  test('where nobody answers at DATABASE_URL', async () => {
    const told = await fails(['serve'], { DATABASE_URL: 'postgres://me:geheim@127.0.0.1:1/shop' });
    expect(told).toMatch(
      /^PostgreSQL at 127\.0\.0\.1:1 \(database shop, user me\) cannot be used: .*ECONNREFUSED.*$/,
    );
    expect(told).not.toContain('geheim');
  });

  test('where the host of DATABASE_URL does not exist', async () => {
    const told = await fails(['serve'], { DATABASE_URL: 'postgres://me@database.invalid/shop' });
    expect(told).toMatch(/^PostgreSQL at database\.invalid:5432 .* cannot be used: .*$/);
  });

  test('with a wrong password', async () => {
    const url = new URL(inject('databaseUrl'));
    url.password = 'guessed';
    const told = await fails(['serve'], { DATABASE_URL: url.href });
    expect(told).toMatch(/^PostgreSQL at .* cannot be used: password authentication failed.*$/);
  });

  test('where the database does not exist', async () => {
    const url = new URL(inject('databaseUrl'));
    url.pathname = '/nowhere';
    const told = await fails(['serve'], { DATABASE_URL: url.href });
    expect(told).toMatch(/^PostgreSQL at .* cannot be used: database "nowhere" does not exist$/);
  });

  test('with wrong settings: all are told at once', async () => {
    const told = await fails(['serve'], {
      PORT: '99999',
      LOG_LEVEL: 'loud',
      PAYMENT_RETRY_ATTEMPTS: 'many',
      BUS_URL: 'smoke://signals',
      PAYMENT_MOCK_SUCCESS_RATE: '2',
    });
    expect(told.split('\n')).toEqual([
      'The configuration has 5 faults:',
      '  PORT: "99999": must be a whole number from 0 to 65535.',
      expect.stringContaining('  BUS_URL: must begin with postgres: or '),
      expect.stringContaining('  LOG_LEVEL: "loud": must be one of fatal, '),
      '  PAYMENT_RETRY_ATTEMPTS: "many": must be a whole number from 1 to 100.',
      '  PAYMENT_MOCK_SUCCESS_RATE must be a number from 0 to 1, not "2".',
    ]);
    expect(await fails(['serve'], { DEFAULT_CURRENCY: 'QQQ' })).toBe(
      'DEFAULT_CURRENCY: "QQQ" is not an ISO 4217 code in use.',
    );
  });

  test('a service that does not exist', async () => {
    expect(await fails(['serve', 'order'], {})).toBe(
      'There is no service "order"; there are gateway, auth, billing, orders, pets, photos, ' +
        'inventory, customers, notifications, dispatch, payments and sandbox.',
    );
  });

  test('a service on its own, without a database', async () => {
    expect(await fails(['serve', 'payments'], { SANDBOX_URL: 'http://127.0.0.1:1' })).toMatch(
      /^DATABASE_URL: is needed to run payments on its own; .*"waybill database" starts one.*$/,
    );
  });

  test('open to others, with a provider that nobody named: both are told', async () => {
    const told = await fails(['serve'], { HOST: '0.0.0.0', AUTH_MODE: 'open' });
    expect(told.split('\n')).toEqual([
      'The configuration has 2 faults:',
      expect.stringMatching(/^ {2}AUTH_MODE=open: refused on HOST=0\.0\.0\.0, .*ALLOW_OPEN=1/),
      '  PAYMENT_PROVIDER: must be named when HOST is 0.0.0.0: sandbox, stripe or wallet.',
    ]);
  });

  test('with a data folder that is a file', async () => {
    const file = join(newDataDir(), 'file');
    writeFileSync(file, '');
    const told = await fails(['serve'], { DATA_DIR: file });
    expect(told).toContain(file);
    expect(told.split('\n')).toHaveLength(1);
  });
});

describe('every command', () => {
  test.each([
    [['serve', '--workers', '0'], '--workers must be a whole number from 1 to 64, not "0".'],
    [['demo', '--orders', 'all'], '--orders must be a whole number from 1 to 1000000, not "all".'],
    [['demo', '--url', 'shop'], '--url must be like http://127.0.0.1:8000, not "shop".'],
    [['verify', '--wait', 'long'], '--wait must be a time like 90s, 15m, 1h or 7d, not "long".'],
    [['verify', '--journal', '/no'], 'There is no journal /no.'],
    [['migrate', 'order'], 'There is no service "order"; there are gateway, auth, '],
    [['token', '--subject', 'a', '--role', 'king'], 'There is no role "king"; there are customer'],
    [['token', '--subject', 'a', '--role', 'executor'], 'The role executor and --executor ID go'],
    [['frobnicate'], "error: unknown command 'frobnicate'"],
  ])('%j', async (argv, sentence) => {
    const told = await fails(argv, {});
    expect(told).toContain(sentence);
    expect(told.split('\n')).toHaveLength(1);
  });

  test('where nothing listens', async () => {
    const port = String(await freePort());
    const sentence =
      `Nothing listens at http://127.0.0.1:${port}: start Waybill with "npm start", ` +
      'or name its address by --url.';
    expect(await fails(['demo'], { PORT: port })).toBe(sentence);
    expect(await fails(['deadletters', 'list'], { PORT: port })).toBe(sentence);
  });

  test('where there is no database yet', async () => {
    expect(await fails(['verify'], {})).toMatch(/^There is no database in .* yet: start "waybill/);
  });
});
