/** Starts and ends of the whole command: what is kept, what is honoured, what is left behind. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Agent, request } from 'undici';
import { startEmbeddedDatabase } from '../../apps/server/embedded-database.ts';
import { node, processesOf, runCommand, waybill } from '../support/command.ts';
import { createTestDatabase, queryRows } from '../support/database.ts';
import {
  freePort,
  newDataDir,
  startWaybill,
  until,
  type StartOptions,
  type WaybillProcess,
} from '../support/waybill.ts';

const SETTINGS = {
  LOG_LEVEL: 'warn',
  PAYMENT_MOCK_SUCCESS_RATE: '1',
  PAYMENT_MOCK_LATENCY_MIN: '1',
  PAYMENT_MOCK_LATENCY_MAX: '5',
};

const running: WaybillProcess[] = [];

async function start(options: StartOptions = {}): Promise<WaybillProcess> {
  const one = await startWaybill({ ...options, env: { ...SETTINGS, ...options.env } });
  running.push(one);
  return one;
}

afterEach(async () => {
  for (const one of running.splice(0)) {
    await one.stop();
    // A server that was orphaned on purpose is not left to the machine.
    if (existsSync(join(one.dataDir, 'postgres', 'postmaster.pid')))
      await startEmbeddedDatabase(one.dataDir).then((database) => database.stop());
    rmSync(one.dataDir, { recursive: true, force: true });
  }
});

async function placeOrder(url: string): Promise<string> {
  const reply = await fetch(`${url}/api/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      customer_id: 'anna',
      items: [{ item_id: 'a', item_name: 'A', quantity: 1, price: 2.5 }],
    }),
  });
  expect(reply.status).toBe(202);
  return ((await reply.json()) as { id: string }).id;
}

async function statusOf(url: string, id: string): Promise<string> {
  const reply = await fetch(`${url}/api/v1/orders/${id}`);
  return ((await reply.json()) as { status: string }).status;
}

function serverPid({ dataDir }: WaybillProcess): number {
  return Number(readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]);
}

describe('an orderly end', () => {
  test('leaves nothing running, and a second start finds everything', async () => {
    const first = await start();
    const id = await placeOrder(first.url);
    await until(async () => (await statusOf(first.url, id)) === 'CONFIRMED');
    expect(await first.stop()).toBe(0);
    expect(processesOf(first.dataDir)).toEqual([]);
    const second = await start({ dataDir: first.dataDir });
    expect(await statusOf(second.url, id)).toBe('CONFIRMED');
    const { code, stdout } = await runCommand(['verify', '--wait', '20'], {
      DATA_DIR: first.dataDir,
    });
    expect(code, stdout).toBe(0);
  });

  test('is the same when npm or a shell passes Ctrl-C on a second time', async () => {
    const one = await start();
    one.child.kill('SIGINT');
    one.child.kill('SIGINT');
    expect(await one.exited).toBe(0);
    expect(processesOf(one.dataDir)).toEqual([]);
  });

  test('waits for what is just being started', async () => {
    const one = await start({ unready: true });
    await until(() => existsSync(join(one.dataDir, 'postgres', 'PG_VERSION')));
    await one.stop();
    expect(processesOf(one.dataDir)).toEqual([]);
    expect(existsSync(join(one.dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
  });

  test('with workers leaves none of them', async () => {
    const one = await start({ workers: 2 });
    await placeOrder(one.url);
    expect(await one.stop()).toBe(0);
    expect(processesOf(one.dataDir)).toEqual([]);
  });
});

test('kill -9, and the next start adopts the PostgreSQL that was left', async () => {
  const first = await start();
  const id = await placeOrder(first.url);
  const pid = serverPid(first);
  await first.kill9();
  await until(() => processesOf(first.dataDir).every((line) => !line.includes('sandbox')));
  const second = await start({ dataDir: first.dataDir });
  expect(serverPid(second)).toBe(pid);
  await until(async () => (await statusOf(second.url, id)) === 'CONFIRMED');
  expect(await second.stop()).toBe(0);
  expect(processesOf(first.dataDir)).toEqual([]);
});

test('a stranger in postmaster.pid, as after a container restarts, is seen through', async () => {
  const first = await start();
  const id = await placeOrder(first.url);
  const pid = serverPid(first);
  await first.kill9();
  process.kill(pid, 'SIGKILL');
  await until(() => processesOf(first.dataDir).length === 0);
  const file = join(first.dataDir, 'postgres', 'postmaster.pid');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^\d+/, String(process.pid)));
  const second = await start({ dataDir: first.dataDir });
  await until(async () => (await statusOf(second.url, id)) === 'CONFIRMED');
  expect(await second.stop()).toBe(0);
});

/**
 * Sends requests over kept and new connections, as a load balancer does: one that is asked to hang
 * up sends nothing more here. Collects what went wrong.
 */
function keepAsking(url: string) {
  const agent = new Agent({ connections: 16 });
  const faults: string[] = [];
  let answered = 0;
  const ask = async (kept: boolean) => {
    for (;;) {
      try {
        const options = kept ? { dispatcher: agent } : { reset: true };
        const reply = await request(`${url}/api/v1/orders?page_size=1`, options);
        await reply.body.text();
        answered++;
        if (reply.statusCode !== 200) faults.push(`answered ${reply.statusCode}`);
        if (kept && reply.headers.connection === 'close') return;
      } catch (error) {
        faults.push(String((error as NodeJS.ErrnoException).code ?? error));
        return;
      }
      if (!kept && !(await fetch(`${url}/readyz`)).ok) return;
    }
  };
  const asking = Promise.all(Array.from({ length: 10 }, (_, index) => ask(index < 8)));
  return {
    answered: () => answered,
    async end() {
      await asking;
      await agent.destroy();
      return faults;
    },
  };
}

test('SIGTERM under load fails no request', async () => {
  const one = await start();
  const load = keepAsking(one.url);
  await until(() => load.answered() > 200);
  one.child.kill('SIGTERM');
  expect(await load.end()).toEqual([]);
  expect(await one.exited).toBe(0);
});

describe('a setting is honoured', () => {
  test('from .env in the working folder, under the environment', async () => {
    const folder = newDataDir();
    const [port, host] = [await freePort(), '127.0.0.2'];
    mkdirSync(join(folder, 'data'), { mode: 0o755 });
    writeFileSync(
      join(folder, '.env'),
      `PORT=1\nHOST=${host}\nDATA_DIR=./data\nLOG_LEVEL=silent\nDEFAULT_CURRENCY=EUR\n`,
    );
    const child = spawn(node, [waybill, 'serve'], {
      cwd: folder,
      stdio: 'ignore',
      env: { PATH: process.env.PATH, PORT: String(port) },
    });
    try {
      const url = `http://${host}:${port}`;
      await until(
        () =>
          fetch(`${url}/readyz`).then(
            ({ ok }) => ok,
            () => false,
          ),
        30_000,
      );
      const id = await placeOrder(url);
      expect(await (await fetch(`${url}/api/v1/orders/${id}`)).json()).toMatchObject({
        currency: 'EUR',
      });
      await expect(fetch(`http://127.0.0.1:${port}/livez`)).rejects.toThrow(/fetch failed/);
      expect(existsSync(join(folder, 'data', 'postgres', 'PG_VERSION'))).toBe(true);
    } finally {
      const exited = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await exited;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  test('DATABASE_URL and BUS_URL: orders there, events elsewhere, nothing embedded', async () => {
    const [database, bus] = [await createTestDatabase(), await createTestDatabase()];
    const one = await start({
      env: { DATABASE_URL: database, BUS_URL: bus, DATABASE_ROLE_PREFIX: `life_${process.pid}` },
    });
    const id = await placeOrder(one.url);
    await until(async () => (await statusOf(one.url, id)) === 'CONFIRMED');
    const orders = await queryRows(database, 'select id from orders.orders');
    const events = await queryRows<{ topic: string }>(bus, 'select distinct topic from bus.events');
    expect(orders).toEqual([{ id }]);
    expect(events.map(({ topic }) => topic).toSorted()).toEqual(['orders', 'payments']);
    expect(await queryRows(database, "select 1 from pg_namespace where nspname = 'bus'")).toEqual(
      [],
    );
    expect(existsSync(join(one.dataDir, 'postgres'))).toBe(false);
    expect(await one.stop()).toBe(0);
  });
});
