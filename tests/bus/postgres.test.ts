import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  startEmbeddedDatabase,
  type EmbeddedDatabase,
} from '../../apps/server/embedded-database.ts';
import { connectOwner, openPostgresBus, setUpPostgresBus } from '../../kit/bus/postgres.ts';
import { openDatabase } from '../../kit/db.ts';
import { outgoing } from '../../kit/bus/port.ts';
import { makeEvents, newTopic } from './consumers.ts';
import { busContract } from './contract.ts';
import { openTestBus } from './postgres-bus.ts';

const silent = { info: () => {}, warn: () => {}, error: () => {} };

describe('postgres', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'waybill-bus-'));
  let server: EmbeddedDatabase;
  let url: string;

  beforeAll(async () => {
    server = await startEmbeddedDatabase(dataDir);
    url = server.url;
  });
  afterAll(() => server.stop());

  busContract('postgres', () => openTestBus({ url, log: silent }), {
    elsewhere: () => ({
      module: new URL('./postgres-bus.ts', import.meta.url).href,
      open: 'openTestBus',
      options: { url },
    }),
    async kill() {
      process.kill(server.pid, 'SIGKILL');
      while (isAlive(server.pid)) await pause(20);
    },
    async restart() {
      server = await startEmbeddedDatabase(dataDir, Number(new URL(url).port));
    },
    wipe: empty,
    drop: empty,
    freeze: () => void process.kill(-server.pid, 'SIGSTOP'),
    thaw: () => void process.kill(-server.pid, 'SIGCONT'),
  });

  async function empty(): Promise<void> {
    const owner = await connectOwner(url);
    await owner.query('truncate bus.events');
    await owner.end();
  }

  it('lets a role publish its own topic alone, and read what it subscribed to', async () => {
    const owner = await connectOwner(url);
    await owner.query(`create role stranger login password 'x'`);
    const mine = newTopic();
    const foreign = newTopic();
    await setUpPostgresBus(owner, [
      { service: mine, role: 'stranger', logIsHere: false, consumes: [] },
      { service: foreign, role: 'waybill', logIsHere: false, consumes: [] },
    ]);
    await owner.end();
    const strange = new URL(url);
    strange.username = 'stranger';
    strange.password = 'x';
    const db = openDatabase({ url: strange.href, service: 'bus', poolSize: 2, onError: () => {} });
    const bus = openPostgresBus(db, silent as never);
    await bus.publish(mine, makeEvents(mine, 1, 1).map(outgoing));
    await expect(bus.publish(foreign, makeEvents(foreign, 1, 1).map(outgoing))).rejects.toThrow(
      /stranger does not publish/,
    );
    const client = await connectOwner(strange.href);
    await expect(client.query('select * from bus.fetch($1, 0, 10)', [foreign])).rejects.toThrow(
      /does not subscribe/,
    );
    await expect(client.query('select * from bus.events')).rejects.toThrow(/permission denied/);
    await client.end();
    await bus.close();
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
