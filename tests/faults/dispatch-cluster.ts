/** Several processes of dispatch, each its own entrance, on one PostgreSQL. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { startSources } from '../../sandbox/sources.ts';
import { newDataDir } from '../support/waybill.ts';
import { verifyDatabase } from '../../apps/server/verify/database.ts';
import { createMember, type Member } from './harness/member.ts';
import { reservePort } from './harness/ports.ts';
import { startPrivatePostgres, type PrivatePostgres } from './harness/postgres.ts';
import { repository } from './harness/tree.ts';

export interface Reply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface DispatchCluster {
  readonly members: readonly Member[];
  readonly postgres: PrivatePostgres;
  /** Asks one of the processes; undefined: nobody knows what became of it. */
  ask(member: number, method: Method, path: string, body?: object): Promise<Reply | undefined>;
  /** What must hold at every moment, and does not. */
  judge(): Promise<string[]>;
  stop(): Promise<void>;
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

const SECRET = 'a secret of the dispatch cluster';
const ATTEMPT_MS = 10_000;

/** Starts so many processes; `root` is the tree that they run from. */
export async function startDispatchCluster(
  processes: number,
  root = repository,
): Promise<DispatchCluster> {
  const folder = newDataDir();
  const postgres = await startPrivatePostgres(folder);
  const sources = await startSources({ host: '127.0.0.1', port: 0, secret: SECRET });
  const env = {
    PATH: process.env['PATH'] as string,
    DATA_DIR: folder,
    DATABASE_URL: postgres.url,
    WAYBILL_SECRET: SECRET,
    SANDBOX_URL: 'http://127.0.0.1:1',
    DISPATCH_SOURCES: sourcesAt(sources.url),
    LOG_LEVEL: 'error',
  };
  const waybill = [join(root, 'apps/server/waybill.mjs'), 'migrate'];
  const migrated = spawnSync(process.execPath, waybill, { env, cwd: root });
  if (migrated.status !== 0) throw new Error(`migrate failed: ${migrated.stderr.toString()}`);
  const urls: string[] = [];
  const members: Member[] = [];
  for (let index = 0; index < processes; index++) {
    const port = await reservePort();
    urls.push(`http://127.0.0.1:${port}`);
    members.push(
      createMember({
        name: `dispatch-${index}`,
        root,
        arguments: ['serve', 'gateway', 'dispatch'],
        env: { ...env, PORT: String(port) },
        logFile: join(folder, `dispatch-${index}.log`),
        readyUrl: `http://127.0.0.1:${port}/readyz`,
      }),
    );
  }
  await Promise.all(members.map((member) => member.start()));
  const agent = new Agent({ connections: 128, pipelining: 1 });
  return {
    members,
    postgres,
    async ask(member, method, path, body) {
      const url = `${urls[member % urls.length]}/api/v1/dispatch${path}`;
      try {
        const reply = await request(url, {
          method,
          dispatcher: agent,
          signal: AbortSignal.timeout(ATTEMPT_MS),
          ...(body === undefined
            ? {}
            : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
        });
        const text = await reply.body.text();
        if (reply.statusCode >= 500) return undefined;
        return { status: reply.statusCode, body: JSON.parse(text || '{}') as Reply['body'] };
      } catch {
        return undefined;
      }
    },
    judge: () => judge(postgres.url),
    async stop() {
      await Promise.all(members.map((member) => member.stop()));
      await agent.destroy();
      await sources.close();
      await postgres.stop();
    },
  };
}

function sourcesAt(url: string): string {
  return JSON.stringify({
    general_order_info: { url: `${url}/orders/{order_id}` },
    executor_profile: { url: `${url}/executors/{executor_id}` },
    zone_info: { url: `${url}/zones/{zone_id}` },
    assign_order_configs: { url: `${url}/configs` },
    toll_roads_info: { url: `${url}/toll-roads/{zone_name}` },
  });
}

async function judge(databaseUrl: string): Promise<string[]> {
  const { verdicts } = await verifyDatabase({ databaseUrl, kinds: ['safety'], rowLimit: 1 });
  return verdicts
    .filter(({ state }) => state === 'violated')
    .map(({ id, violations, rows }) => `${id}: ${violations}, ${JSON.stringify(rows[0])}`);
}
