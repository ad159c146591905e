/**
 * Very many transfers at once among few wallets, through several processes that are killed with
 * their connections and their PostgreSQL. Every call is repeated until it is answered, so that the
 * clients know what every balance must be, to the cent.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { walletChecks } from '../../apps/server/verify/ledger-checks.ts';
import { verifyDatabase, type VerifyOptions } from '../../apps/server/verify/database.ts';
import { describeTimes } from './figures.ts';
import { createMember, type Member } from './harness/member.ts';
import { reservePort } from './harness/ports.ts';
import { queryAsOwner, startPrivatePostgres, type PrivatePostgres } from './harness/postgres.ts';
import { repository } from './harness/tree.ts';
import { LEDGER_SECRET, openTellers, type Tellers } from './tellers.ts';

export interface LedgerOptions {
  readonly transfers: number;
  readonly accounts: number;
  readonly processes: number;
  /** How often something is killed, spread over the run. */
  readonly kills: number;
  readonly root?: string | undefined;
}

export interface LedgerReport {
  readonly violations: readonly string[];
  readonly seconds: number;
  /** What was asked, by kind and answer. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Calls that had no answer, and were made again. */
  readonly repeats: number;
  readonly killed: Readonly<Record<string, number>>;
  readonly waits: readonly number[];
}

/** Calls in flight. */
const LANES = 48;

export function runLedger(options: LedgerOptions): Promise<LedgerReport> {
  return withBank(options, async ({ members, postgres, tellers }) => {
    const usernames = Array.from({ length: options.accounts }, (_, index) => `holder ${index}`);
    await Promise.all(usernames.map((username) => tellers.open(username, 5000)));
    const violations: string[] = [];
    const killed: Record<string, number> = {};
    const begun = performance.now();
    const each = options.transfers / (options.kills + 1);
    let next = 0;
    let kills = 0;
    const lane = async () => {
      while (next < options.transfers) {
        const index = next++;
        if (kills < options.kills && next >= each * (kills + 1)) {
          const kind = KILLS[kills++ % KILLS.length] ?? 'connection';
          killed[kind] = (killed[kind] ?? 0) + 1;
          await TO_KILL[kind](postgres, members);
          violations.push(...(await judge(postgres.url, { kinds: ['safety'] })));
        }
        const [one, other] = pick(index, usernames);
        await tellers.serve(index, one, other).catch((error: unknown) => {
          violations.push(`call ${index}: ${String(error)}`);
        });
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    const seconds = (performance.now() - begun) / 1000;
    violations.push(
      ...(await judge(postgres.url, { waitSeconds: 60 })),
      ...(await differences(postgres.url, tellers)),
    );
    const { outcomes, repeats, waits } = tellers;
    return { violations, seconds, outcomes, repeats: repeats(), killed, waits };
  });
}

export function describeLedger(options: LedgerOptions, report: LedgerReport): string[] {
  const words = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .toSorted(([one], [other]) => one.localeCompare(other))
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const rate = Math.round(options.transfers / report.seconds);
  return [
    `${options.transfers} among ${options.accounts} wallets through ${options.processes} ` +
      `processes in ${report.seconds.toFixed(0)} s (${rate}/s); ${report.repeats} repeated`,
    `answers: ${words(report.outcomes)}`,
    `killed: ${words(report.killed)}; a call took ${describeTimes(report.waits)}`,
  ];
}

/** Scattered, and the same in every run; every fourth call goes to one of three busy wallets. */
function pick(index: number, usernames: readonly string[]): [string, string] {
  const scattered = Math.imul(index + 1, 2_654_435_761) >>> 0;
  const of = (count: number, number: number) => usernames[number % count] ?? '';
  const one = of(index % 4 === 0 ? 3 : usernames.length, scattered >>> 8);
  return [one, of(usernames.length, scattered >>> 16)];
}

const KILLS = ['connections', 'process', 'connection', 'process', 'server'] as const;
type Kill = (typeof KILLS)[number];

const TO_KILL: Readonly<
  Record<Kill, (postgres: PrivatePostgres, members: readonly Member[]) => Promise<unknown>>
> = {
  /** Those that are in the middle of something, one by one. */
  connections: (postgres) =>
    queryAsOwner(
      postgres.url,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name = 'waybill-billing' and state <> 'idle'`,
    ),
  /** With SIGKILL: the server ends all others with it, and recovers. */
  connection: (postgres) => postgres.killBackend(),
  process: async (_postgres, members) =>
    members[Math.floor(Math.random() * members.length)]?.kill9(),
  server: (postgres) => postgres.killAll(),
};

interface Bank {
  readonly members: readonly Member[];
  readonly postgres: PrivatePostgres;
  readonly tellers: Tellers;
}

async function withBank<Result>(
  { processes, root = repository }: LedgerOptions,
  work: (bank: Bank) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-ledger-'));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'data'));
  const postgres = await startPrivatePostgres(join(folder, 'database'));
  const shared = {
    DATABASE_URL: postgres.url,
    DATA_DIR: join(folder, 'data'),
    WAYBILL_SECRET: LEDGER_SECRET,
  };
  const urls: string[] = [];
  const members: Member[] = [];
  for (let number = 0; number < processes; number++) {
    const port = await reservePort();
    const url = `http://127.0.0.1:${port}`;
    const env = { ...shared, PORT: String(port) };
    const name = `billing-${number}`;
    const [logFile, readyUrl] = [join(folder, `${name}.log`), `${url}/readyz`];
    members.push(
      createMember({ name, root, arguments: ['serve', 'billing'], env, logFile, readyUrl }),
    );
    urls.push(url);
  }
  const tellers = openTellers(urls);
  try {
    makeTables(root, shared);
    await Promise.all(members.map((member) => member.start()));
    return await work({ members, postgres, tellers });
  } finally {
    await tellers.close();
    await Promise.all(members.map((member) => member.stop()));
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The orders' and the payments' tables too, which stay empty: `waybill verify` reads them. */
function makeTables(root: string, env: Readonly<Record<string, string>>): void {
  const words = ['apps/server/waybill.mjs', 'migrate', 'orders', 'payments', 'billing'];
  execFileSync(join(root, 'node_modules/.bin/node'), words, {
    cwd: root,
    env: { PATH: process.env['PATH'], ...env },
  });
}

/** What `waybill verify` says of the ledger; nobody's orders are behind these charges. */
async function judge(databaseUrl: string, options: Partial<VerifyOptions>): Promise<string[]> {
  const others = new Set(walletChecks.map(({ id }) => id));
  for (;;) {
    try {
      const { verdicts } = await verifyDatabase({ databaseUrl, ...options });
      return verdicts
        .filter(({ id, state }) => state === 'violated' && !others.has(id))
        .map(({ id, violations, rows }) => `${id} (${violations}): ${JSON.stringify(rows[0])}`);
    } catch (error) {
      // The server has just been killed.
      if ((error as Error).name !== 'Outage' && !isCut(error)) throw error;
      await pause(100);
    }
  }
}

function isCut(error: unknown): boolean {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return /^57P|^08|ECONN/.test(code) || /terminated|recovery/.test(message);
}

/** Where the database's balances are not what the clients know that they must be. */
async function differences(url: string, tellers: Tellers): Promise<string[]> {
  const rows = await queryAsOwner<{ username: string; balance: string }>(
    url,
    "select username, balance_minor as balance from billing.accounts where kind = 'wallet'",
  );
  const there = new Map(rows.map(({ username, balance }) => [username, Number(balance)]));
  return [...tellers.balances].flatMap(([username, known]) =>
    there.get(username) === known
      ? []
      : [`${username} has ${String(there.get(username))}, and must have ${known}`],
  );
}
