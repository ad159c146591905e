/**
 * Twenty buyers want three units of a SKU, again and again, through two processes, one of which is
 * killed now and then: each time exactly three of them get one, whoever asks how often.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { openIdentitySigner, type Identity } from '@waybill/kit/identity.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';
import { verifyDatabase } from '../../apps/server/verify/database.ts';
import { describeTimes } from './figures.ts';
import { createMember, type Member } from './harness/member.ts';
import { reservePort } from './harness/ports.ts';
import { startPrivatePostgres } from './harness/postgres.ts';
import { repository } from './harness/tree.ts';

export interface SalesOptions {
  readonly rounds: number;
  readonly buyers: number;
  readonly units: number;
  readonly root?: string | undefined;
}

export interface SalesReport {
  readonly violations: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly kills: number;
  readonly waits: readonly number[];
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

type Ask = (method: string, path: string, body?: object) => Promise<Answer>;

const SECRET = 'a-secret-of-the-stock-run';
const LANES = 4;
const ROUNDS_PER_KILL = 100;

export function runStockSales(options: SalesOptions): Promise<SalesReport> {
  return withWarehouse(options, async (databaseUrl, members, ask) => {
    const violations: string[] = [];
    const waits: number[] = [];
    const begun = performance.now();
    let next = 0;
    let kills = 0;
    const lane = async () => {
      while (next < options.rounds) {
        const round = next++;
        if (round % ROUNDS_PER_KILL === ROUNDS_PER_KILL - 1)
          await members[kills++ % members.length]?.kill9();
        violations.push(...(await sell(ask, round, options, waits)));
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    const seconds = (performance.now() - begun) / 1000;
    await Promise.all(members.map((member) => member.untilReady()));
    const { verdicts } = await verifyDatabase({ databaseUrl, waitSeconds: 60 });
    for (const { id, state, rows } of verdicts)
      if (state === 'violated') violations.push(`${id}: ${JSON.stringify(rows[0])}`);
    return { violations, rounds: options.rounds, seconds, kills, waits };
  });
}

/** One sale: every fourth buyer asks twice at once; then all leaves the house, or comes back. */
async function sell(
  ask: Ask,
  round: number,
  { buyers, units }: SalesOptions,
  waits: number[],
): Promise<string[]> {
  const sku = `sale-${round}`;
  await ask('PUT', `/api/v1/inventory/stock/${sku}`, { on_hand: units });
  const reserve = async (buyer: number) => {
    const begun = performance.now();
    const answer = await ask('POST', '/internal/inventory/reservations', {
      reservation_id: `${sku}-${buyer}`,
      lines: [{ sku, quantity: 1 }],
      expires_in_seconds: 600,
    });
    waits.push(performance.now() - begun);
    return { id: `${sku}-${buyer}`, ...answer };
  };
  const answers = await Promise.all(
    Array.from({ length: buyers }, (_, buyer) =>
      buyer % 4 === 0 ? [reserve(buyer), reserve(buyer)] : [reserve(buyer)],
    ).flat(),
  );
  const sold = new Set(answers.filter(({ status }) => status === 200).map(({ id }) => id));
  const odd = answers.filter(
    ({ status, body }) => status !== 200 && body['code'] !== 'insufficient_stock',
  );
  const end = async (id: string) => {
    const path = `/internal/inventory/reservations/${id}`;
    if (round % 3 === 0) return ask('POST', `${path}/release`);
    return ask('POST', `${path}/deduct`, { deduction_id: `${id}-shipped` });
  };
  const ended = await Promise.all([...sold].map(end));
  const { body } = await ask('GET', `/api/v1/inventory/stock/${sku}`);
  const left = round % 3 === 0 ? units : 0;
  return [
    ...(sold.size === units ? [] : [`${sold.size} of ${units} of ${sku} were sold`]),
    ...odd.map(({ id, status, body: told }) => `${id}: ${status} ${JSON.stringify(told)}`),
    ...ended.filter(({ status }) => status !== 200).map((one) => `${sku}: ${JSON.stringify(one)}`),
    ...(body['on_hand'] === left && body['reserved'] === 0
      ? []
      : [`of ${sku} there is ${JSON.stringify(body)}, and must be ${left}`]),
  ];
}

export function describeSales(report: SalesReport): string[] {
  const { rounds, seconds, kills, waits } = report;
  return [
    `${rounds} sales in ${seconds.toFixed(0)} s, ${kills} kills`,
    `a reservation took ${describeTimes(waits)}`,
  ];
}

async function withWarehouse<Result>(
  { root = repository }: SalesOptions,
  work: (databaseUrl: string, members: readonly Member[], ask: Ask) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-stock-'));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'data'));
  const postgres = await startPrivatePostgres(join(folder, 'database'));
  const shared = {
    DATABASE_URL: postgres.url,
    DATA_DIR: join(folder, 'data'),
    WAYBILL_SECRET: SECRET,
  };
  const agent = new Agent({ connections: 64 });
  const members: Member[] = [];
  const urls: string[] = [];
  try {
    // What nobody uses here stays empty: `waybill verify` reads it.
    execFileSync(
      join(root, 'node_modules/.bin/node'),
      ['apps/server/waybill.mjs', 'migrate', 'orders', 'payments', 'inventory'],
      { cwd: root, env: { PATH: process.env['PATH'], ...shared } },
    );
    for (const name of ['inventory-1', 'inventory-2']) {
      const port = await reservePort();
      const url = `http://127.0.0.1:${port}`;
      const [logFile, readyUrl] = [join(folder, `${name}.log`), `${url}/readyz`];
      const env = { ...shared, PORT: String(port) };
      const words = ['serve', 'inventory'];
      members.push(createMember({ name, root, arguments: words, env, logFile, readyUrl }));
      urls.push(url);
    }
    await Promise.all(members.map((member) => member.start()));
    return await work(postgres.url, members, createAsk(urls, agent));
  } finally {
    await agent.destroy();
    await Promise.all(members.map((member) => member.stop()));
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const PATIENCE_MS = 60_000;

/** Asks until there is an answer, of whichever process gives one. */
function createAsk(urls: readonly string[], dispatcher: Agent): Ask {
  const signer = openIdentitySigner(deriveKey(SECRET, 'identity'));
  const identity: Identity = { subject: 'orders', roles: ['service', 'operator'] };
  let turn = 0;
  return async (method, path, body) => {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const url = urls[turn++ % urls.length] ?? '';
      const reply = await request(url + path, {
        method: method as 'GET',
        dispatcher,
        headersTimeout: 15_000,
        headers: {
          'waybill-identity': signer.sign(identity, 'inventory'),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }).catch(() => undefined);
      const text = await reply?.body.text().catch(() => undefined);
      if (reply !== undefined && text !== undefined && reply.statusCode < 500)
        return { status: reply.statusCode, body: JSON.parse(text) as Answer['body'] };
      if (reply?.statusCode === 500 || performance.now() > end)
        throw new Error(`${method} ${path}: ${reply?.statusCode ?? 'no answer'} ${text ?? ''}`);
      await pause(20 + Math.random() * 80);
    }
  };
}
