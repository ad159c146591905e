/** The commands, each against a running Waybill that wants tokens. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEmbeddedDatabase } from '../../apps/server/embedded-database.ts';
import { sandboxControlSecret } from '../../apps/server/sandbox-process.ts';
import { readOrCreateSecret } from '@waybill/kit/secrets.ts';
import { processesOf, runCommand } from '../support/command.ts';
import { createTestDatabase, queryRows } from '../support/database.ts';
import {
  freePort,
  newDataDir,
  startWaybill,
  until,
  type WaybillProcess,
} from '../support/waybill.ts';

let shop: WaybillProcess;
let databaseUrl = '';
let settings: Record<string, string> = {};
let token = '';

beforeAll(async () => {
  shop = await startWaybill({
    env: {
      AUTH_MODE: 'jwt',
      RATE_LIMIT: '0',
      LOG_LEVEL: 'silent',
      PAYMENT_MOCK_LATENCY_MIN: '1',
      PAYMENT_MOCK_LATENCY_MAX: '5',
      PAYMENT_RETRY_DELAY: '0.1',
      CIRCUIT_BREAKER_FAILURE_THRESHOLD: '1000',
    },
  });
  settings = { DATA_DIR: shop.dataDir, PORT: String(shop.port) };
  databaseUrl = (await startEmbeddedDatabase(shop.dataDir)).url;
  token = await mint('operator');
});

afterAll(async () => {
  await shop.stop();
  rmSync(shop.dataDir, { recursive: true, force: true });
});

async function mint(role: string): Promise<string> {
  const { code, stdout } = await runCommand(['token', '--subject', 'me', '--role', role], settings);
  expect(code).toBe(0);
  return stdout.trim();
}

function get(path: string, bearer: string) {
  return fetch(shop.url + path, { headers: { authorization: `Bearer ${bearer}` } });
}

test('token: what it prints opens the door, for its role and its time', async () => {
  expect((await fetch(`${shop.url}/api/v1/orders`)).status).toBe(401);
  expect((await get('/api/v1/orders', token)).status).toBe(200);
  expect((await get('/api/v1/dead-letters/orders', await mint('customer'))).status).toBe(403);
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
  expect(claims).toMatchObject({ sub: 'me', roles: ['operator'], exp: claims.iat + 3600 });
});

describe('demo', () => {
  test('places orders, follows them to their end, and says so in plain lines', async () => {
    const argv = ['demo', '--orders', '60', '--rate', '40', '--token', token];
    const { code, stdout } = await runCommand(argv, settings);
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/^1 s: \d+ of 60 accepted, \d+\/s · p50 .* p95 .* p99 /m);
    expect(stdout).toMatch(/^accepted +60 of 60 /m);
    expect(stdout).toMatch(/^still open +0$/m);
    expect(stdout).toMatch(/^from accepted to settled +\d/m);
    // eslint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/\u001b/);
    const [row] = await queryRows<{ orders: string; keys: string }>(
      databaseUrl,
      `select (select count(*) from orders.orders) as orders,
         (select count(*) from orders.idempotency_keys) as keys`,
    );
    expect(row).toEqual({ orders: '60', keys: '60' });
  });

  test('without a token is told what to do', async () => {
    const { code, stderr } = await runCommand(['demo', '--orders', '3'], settings);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Waybill answered 401 .*--token; "waybill token .*mints one/);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});

describe('verify', () => {
  const wait = ['verify', '--wait', '30'];

  test('finds nothing, with the journal as its witness', async () => {
    const { code, stdout } = await runCommand(wait, settings);
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/^Examined: 60 orders, 60 payments, .* [1-9]\d* journal entries, /);
    expect(stdout).toMatch(/^journal-charged-twice .* ok$/m);
    expect(stdout).toMatch(/checks, nothing found, 6 skipped\.$/m);
  });

  test('reads the journal over HTTP', async () => {
    const { controlUrl } = JSON.parse(readFileSync(join(shop.dataDir, 'sandbox.json'), 'utf8'));
    const argv = [...wait, '--json', '--journal', `${controlUrl}/journal`];
    const { code, stdout } = await runCommand(argv, settings);
    expect(code).toBe(0);
    const { examined } = JSON.parse(stdout);
    const secret = sandboxControlSecret(readOrCreateSecret(shop.dataDir));
    const reply = await fetch(`${controlUrl}/journal?limit=10000`, {
      headers: { 'x-sandbox-secret': secret },
    });
    const { entries } = (await reply.json()) as { entries: unknown[] };
    expect(examined.journal_entries).toBe(entries.length);
    expect(entries.length).toBeGreaterThan(50);
  });

  test('tells what is wrong, row by row, and exits with 1', async () => {
    const [order] = await queryRows<{ id: string }>(
      databaseUrl,
      `update orders.orders set total_minor = total_minor + 1
       where id = (select id from orders.orders where status = 'CONFIRMED' limit 1) returning id`,
    );
    try {
      const { code, stdout } = await runCommand(['verify'], settings);
      expect(code).toBe(1);
      expect(stdout).toMatch(/^total-differs .* 1 row$/m);
      expect(stdout).toContain(`  {"id":"${order?.id}","total_minor":`);
      expect(stdout).toMatch(/^\d+ of \d+ checks found something, 6 skipped: total-differs, /m);
    } finally {
      await queryRows(
        databaseUrl,
        'update orders.orders set total_minor = total_minor - 1 where id = $1',
        [order?.id],
      );
    }
  });

  test('believes what clients saw', async () => {
    const file = join(shop.dataDir, 'calls.ndjson');
    const lost = { client: 1, seq: 1, op: 'create', outcome: 'ok', http: 202, order_id: 'lost' };
    writeFileSync(file, `${JSON.stringify(lost)}\n`);
    const { code, stdout } = await runCommand(['verify', '--client', file], settings);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^accepted-order-missing .* 1 row$/m);
    expect(stdout).toMatch(/^order-unasked .* 60 rows$/m);
    expect(stdout).toContain('  … and 40 more');
  });
});

test('deadletters: lists what is parked, replays it, and then lists nothing', async () => {
  const argv = (name: string) => ['deadletters', name, '--token', token];
  expect(await runCommand(argv('list'), settings)).toMatchObject({
    code: 0,
    stdout: 'Parked events: 0\nDead tasks: 0\n',
  });
  // As if the last event of one order had been parked.
  const [event] = await queryRows<{ key: string }>(
    databaseUrl,
    `insert into payments.dead_letters (topic, key, version, type, event, error, attempts)
     select 'orders', key, version, type,
       json_build_object('type', type, 'key', key, 'version', version, 'data', data),
       'it broke' || chr(10) || 'at some line', 3
     from orders.log order by position desc limit 1 returning key`,
  );
  const key = event?.key ?? '';
  await queryRows(
    databaseUrl,
    `insert into orders.tasks (id, kind, key, state, error)
     values (gen_random_uuid(), 'orders.nothing', 'x', 'dead', 'no luck')`,
  );
  const listed = await runCommand(argv('list'), settings);
  expect(listed.code).toBe(1);
  expect(listed.stdout).toMatch(new RegExp(`^payments +orders +${key} .* it broke$`, 'm'));
  expect(listed.stdout).toMatch(/^orders +orders\.nothing +x .* no luck$/m);
  const other = await runCommand([...argv('list'), '--service', 'orders', '--key', 'y'], settings);
  expect(other.stdout).toBe('Parked events: 0\nDead tasks: 0\n');
  const replayed = await runCommand(argv('replay'), settings);
  expect(replayed.stdout).toBe(`orders.nothing x: due again (1)\norders ${key}: 1 handled\n`);
  expect(replayed.code).toBe(0);
  const left = await queryRows(databaseUrl, 'select 1 from payments.dead_letters');
  expect(left).toEqual([]);
  await queryRows(databaseUrl, 'delete from orders.tasks');
});

test('config: every value with its origin, secrets hidden, all faults at once', async () => {
  const folder = newDataDir();
  writeFileSync(join(folder, '.env'), 'PORT=8123\nMETRICS_TOKEN=geheim-1\nPRICES=free\n');
  writeFileSync(join(folder, 'secret'), 'geheim-2-geheim-2');
  const env = {
    DATABASE_URL: 'postgres://me:geheim-3@db.example/shop?password=geheim-4',
    WAYBILL_SECRET_FILE: join(folder, 'secret'),
    BUS_PARTITIONS: '100',
  };
  const { code, stdout, stderr } = await runCommand(['config'], env, folder);
  rmSync(folder, { recursive: true });
  expect(code).toBe(1);
  expect(stdout + stderr).not.toContain('geheim');
  expect(stdout).toMatch(/^ {2}PORT +8123 +\.env$/m);
  expect(stdout).toMatch(/^ {2}HOST +127\.0\.0\.1 +default$/m);
  expect(stdout).toMatch(/^ {2}AUTH_MODE +open +default$/m);
  expect(stdout).toMatch(/^ {2}METRICS_TOKEN +•+ +\.env$/m);
  expect(stdout).toMatch(/^ {2}WAYBILL_SECRET +•+ +WAYBILL_SECRET_FILE /m);
  expect(stdout).toMatch(
    /^ {2}DATABASE_URL +postgres:\/\/me:•+@db\.example\/shop\?•+ +environment$/m,
  );
  expect(stdout).toMatch(/^ {2}STRIPE_SECRET_KEY +– +not set$/m);
  expect(stderr.trim().split('\n')).toEqual([
    'The configuration has 2 faults:',
    '  BUS_PARTITIONS: "100": must be a whole number from 1 to 64.',
    expect.stringContaining('  PRICES: "free": must be one of '),
  ]);
});

describe('migrate', () => {
  test('tells what it did, once, on DATABASE_URL', async () => {
    const dataDir = newDataDir();
    const env = {
      DATABASE_URL: await createTestDatabase(),
      DATABASE_ROLE_PREFIX: `migrate_${process.pid}`,
      DATA_DIR: dataDir,
    };
    const one = await runCommand(['migrate', 'orders'], env);
    expect(one.code).toBe(0);
    expect(one.stdout).toMatch(/^orders: carried out 0000_kit, 0001_orders, [\w, ]+\n$/);
    const rest = await runCommand(['migrate'], env);
    expect(rest.stdout).toMatch(/^orders: up to date$/m);
    expect(rest.stdout).toMatch(/^payments: carried out 0000_kit, 0001_/m);
    const empty = await runCommand(['verify'], env);
    expect(empty.stdout).toContain('But there is not a single order here.');
    expect(empty.stdout).toMatch(/^The provider's journal was not asked: there is none at /m);
    rmSync(dataDir, { recursive: true });
  });

  test('makes the embedded database, and leaves nothing running', async () => {
    const dataDir = newDataDir();
    const { code, stdout } = await runCommand(['migrate'], { DATA_DIR: dataDir });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^orders: carried out /m);
    expect(processesOf(dataDir)).toEqual([]);
    rmSync(dataDir, { recursive: true });
  });
});

test('database: stays for others, tells its address, and ends with all it started', async () => {
  const dataDir = newDataDir();
  const port = String(await freePort());
  const argv = ['database', '--port', port, '--show-url'];
  const running = runCommand(argv, { DATA_DIR: dataDir, LOG_LEVEL: 'silent' });
  await until(() => processesOf(dataDir).some((line) => line.includes('postgres')), 20_000);
  // Also while the first one is only setting up.
  const second = await runCommand(argv, { DATA_DIR: dataDir });
  expect(second.stderr).toContain("in another process's care");
  const url = second.stdout.trim();
  expect(url).toMatch(new RegExp(`^postgres://waybill:[^@]+@127\\.0\\.0\\.1:${port}/waybill$`));
  expect(await queryRows(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  const [command] = processesOf(dataDir).filter((line) => line.includes('waybill.mjs database'));
  process.kill(Number(command?.split(' ')[0]), 'SIGINT');
  const ended = await running;
  expect(ended).toMatchObject({ code: 0, stdout: `${url}\n` });
  expect(ended.stderr).toContain(
    `PostgreSQL is ready at postgres://waybill:••••••@127.0.0.1:${port}`,
  );
  expect(processesOf(dataDir)).toEqual([]);
  rmSync(dataDir, { recursive: true });
});
