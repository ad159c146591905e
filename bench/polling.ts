/** Dispatch's load from a process of its own, and polls that wait. */
import { fork } from 'node:child_process';
import { Agent, request as send } from 'node:http';
import { fileURLToPath } from 'node:url';
import type { Mix, Mixed, Polled, Polling, Served } from './dispatch-load.ts';

const PROGRAM = fileURLToPath(new URL('./dispatch-load.ts', import.meta.url));

/** Polls as fast as they go; anything but 200 and 204 fails. */
export async function poll(options: Polling): Promise<Polled> {
  const polled = (await generate(options)) as Polled;
  expect('polls', polled, [200, 204]);
  return polled;
}

/** Polls, assigns and cancels at their rates; what may have been acquired meanwhile is no error. */
export async function mix(options: Mix): Promise<Mixed> {
  const mixed = (await generate(options)) as Mixed;
  expect('polls', mixed.polls, [200, 204]);
  expect('assignments', mixed.assigns, [201]);
  expect('cancellations', mixed.cancels, [200, 409]);
  return mixed;
}

function generate(options: Polling | Mix): Promise<unknown> {
  return new Promise((done, fail) => {
    const child = fork(PROGRAM, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.once('message', done);
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`the generator ended with ${String(code)}`)));
    child.send(options);
  });
}

function expect(what: string, { statuses }: Served, good: readonly number[]): void {
  const odd = Object.entries(statuses).filter(([status]) => !good.includes(Number(status)));
  if (odd.length === 0) return;
  const counts = odd.map(([status, count]) => `${count} with ${status === '0' ? 'none' : status}`);
  throw new Error(`${what} were answered otherwise: ${counts.join(', ')}`);
}

export interface Asked {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export type Ask = (method: string, path: string, body?: object) => Promise<Asked>;

/** Asks dispatch over kept connections. */
export function openAsk(url: string): Ask {
  const agent = new Agent({ keepAlive: true, maxSockets: 1024 });
  return (method, path, body) =>
    new Promise((done, fail) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers =
        text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      const outgoing = send(
        `${url}/api/v1/dispatch${path}`,
        { agent, method, headers },
        (reply) => {
          const chunks: Buffer[] = [];
          reply.on('data', (chunk: Buffer) => chunks.push(chunk));
          reply.once('error', fail);
          reply.once('end', () => {
            const answer = Buffer.concat(chunks).toString() || '{}';
            done({ status: reply.statusCode ?? 0, body: JSON.parse(answer) as Asked['body'] });
          });
        },
      );
      outgoing.once('error', fail);
      outgoing.end(text);
    });
}

/** Executors who wait; tells of each order the moment that its executor had the answer. */
export function keepWaiting(ask: Ask, executors: readonly string[]) {
  const got = new Map<string, number>();
  let stopped = false;
  const wait = async (executor: string) => {
    while (!stopped) {
      const path = `/executors/${executor}/acquire?wait=2s&next=true`;
      const { status, body } = await ask('POST', path);
      if (status === 200) got.set(String(body['order_id']), performance.now());
      else if (status !== 204) throw new Error(`a poll that waits was answered ${status}`);
    }
  };
  const all = Promise.all(executors.map(wait));
  all.catch(() => {});
  return {
    got,
    async stop() {
      stopped = true;
      await all;
    },
  };
}
