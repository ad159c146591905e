/**
 * Tasks: work to be done later, or again, or outside a transaction. Enqueued in the transaction
 * that wants it; claimed under a lease that a heartbeat renews; taken over within 5 s when the
 * process dies. Attempts are counted before running, so that a task that kills its process ends
 * as dead too, and is not tried for ever.
 */
import { monotonicMs, sleep } from './clock.ts';
import type { Database, Tx } from './db.ts';
import { Outage } from './errors.ts';
import { failpoint } from './failpoints.ts';
import { newId, random } from './ids.ts';
import type { Json } from './json.ts';
import type { Logger } from './logger.ts';
import { startLoop, type Stop } from './loop.ts';
import { currentTraceparent, gauge, inSpan } from './telemetry.ts';
import { waitForWake, wake } from './wake.ts';

export interface NewTask {
  readonly kind: string;
  /** One open task per kind and key; enqueuing again while it is open changes nothing. */
  readonly key: string;
  readonly payload: Json;
  readonly delayMs?: number;
}

/** One claimed task. */
export interface TaskRun {
  readonly id: string;
  readonly kind: string;
  readonly key: string;
  readonly payload: Json;
  /** 1 on the first run; counts runs that did not end by `finish` or `again`. */
  readonly attempts: number;
  /** Aborts when the lease is lost, the time is up or the process stops. */
  readonly signal: AbortSignal;
  /** Ends the task with the effect's transaction; throws LeaseLost if another took it over. */
  finish(tx: Tx): Promise<void>;
  /** Puts the task off with the effect's transaction, with its attempts forgotten. */
  again(tx: Tx, delayMs: number): Promise<void>;
}

export interface TaskHandler<Context> {
  readonly kind: string;
  /** How many more may start in this process now, given how many run; asked before each claim. */
  readonly room: (running: number, context: Context) => number;
  /** A run longer than this loses its lease. */
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  run(task: TaskRun, context: Context): Promise<void>;
  /** Told after each claim how many were asked for and how many were due. */
  claimed?(asked: number, got: number, context: Context): void;
}

export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

/** Enqueues with the transaction. */
export async function enqueue(tx: Tx, tasks: readonly NewTask[]): Promise<void> {
  if (tasks.length === 0) return;
  const rows = tasks.map((task) => ({ delayMs: 0, ...task, id: newId() }));
  await tx.query(
    `insert into tasks (id, kind, key, payload, traceparent, run_at)
     select t.id, t.kind, t.key, t.payload, $2, now() + t."delayMs" * interval '1 millisecond'
     from json_to_recordset($1)
       as t(id uuid, kind text, key text, payload json, "delayMs" double precision)
     on conflict (kind, key) do nothing`,
    [JSON.stringify(rows), currentTraceparent() ?? null],
  );
  for (const kind of new Set(tasks.map((task) => task.kind))) tx.onCommit(() => wakeTasks(kind));
}

/** Tells this process's runner that there may be work. */
export function wakeTasks(kind: string): void {
  wake(`tasks:${kind}`);
}

/** Removes an open task that is no longer wanted; a running one will find its lease lost. */
export async function withdrawTasks(tx: Tx, kind: string, keys: readonly string[]): Promise<void> {
  await tx.query('delete from tasks where kind = $1 and key = any($2)', [kind, keys]);
}

/** Makes waiting tasks due now. */
export async function hastenTasks(tx: Tx, kind: string, keys: readonly string[]): Promise<void> {
  await tx.query(
    `update tasks set run_at = now() where kind = $1 and key = any($2) and state = 'waiting'`,
    [kind, keys],
  );
  tx.onCommit(() => wakeTasks(kind));
}

/**
 * A task as a request holds it that does the task's work itself while its caller waits. It was
 * enqueued to be due only when the request is certainly gone, so that no lease is needed: when the
 * two meet after all, the effect's own row lock decides, and whoever comes second changes nothing.
 * @param holdMs how long the request may go on; the task is put off by as much at least
 */
export function taskOfRequest(kind: string, key: string, holdMs: () => number): TaskRun {
  return {
    id: '',
    kind,
    key,
    payload: null,
    attempts: 1,
    signal: NEVER,
    finish: (tx) => withdrawTasks(tx, kind, [key]),
    again: async (tx, delayMs) => {
      await tx.query(
        `update tasks set run_at = now() + $3 * interval '1 millisecond'
         where kind = $1 and key = $2 and state = 'waiting'`,
        [kind, key, Math.max(delayMs, holdMs())],
      );
    },
  };
}

const NEVER = new AbortController().signal;
const LEASE = "interval '3 seconds'";
const HEARTBEAT_MS = 1000;
const IDLE_MS = 200;

interface Running {
  readonly lease: string;
  readonly abort: AbortController;
  readonly until: number;
}

interface Claimed {
  id: string;
  key: string;
  payload: Json;
  attempts: number;
  traceparent: string | null;
}

/** Runs the service's tasks in this process. */
export function startTasks<Context>(
  db: Database,
  log: Logger,
  handlers: readonly TaskHandler<Context>[],
  context: Context,
): Stop {
  const running = new Map<string, Running>();
  const stops: Stop[] = [
    startLoop(`${db.service} heartbeat`, log, async (signal) => {
      await sleep(HEARTBEAT_MS, signal);
      await heartbeat(db, running);
      await takeOver(db, handlers);
    }),
  ];
  for (const handler of handlers) {
    const active = new Set<Promise<void>>();
    const stop = startLoop(`${db.service} ${handler.kind}`, log, async (signal) => {
      const free = handler.room(active.size, context);
      const lease = newId();
      const claimed = free > 0 ? await claim(db, handler.kind, lease, free) : [];
      if (free > 0) handler.claimed?.(free, claimed.length, context);
      if (claimed.length > 0) await failpoint('tasks.after_claim');
      for (const task of claimed) {
        const entry: Running = {
          lease,
          abort: new AbortController(),
          until: monotonicMs() + handler.timeoutMs,
        };
        running.set(task.id, entry);
        const work = runOne(db, log, handler, task, entry, context).finally(() => {
          running.delete(task.id);
          active.delete(work);
          wakeTasks(handler.kind);
        });
        active.add(work);
      }
      if (claimed.length < free || free <= 0)
        await waitForWake(`tasks:${handler.kind}`, IDLE_MS, signal);
    });
    stops.push(async () => {
      await stop();
      await Promise.all(active);
    });
  }
  return async () => {
    const [heartbeats, ...runners] = stops;
    await Promise.all(runners.map((stop) => stop()));
    await heartbeats?.();
  };
}

function claim(db: Database, kind: string, lease: string, limit: number): Promise<Claimed[]> {
  return db.query<Claimed>(
    `update tasks set state = 'running', lease = $2, lease_until = now() + ${LEASE},
       attempts = attempts + 1
     where id in (
       select id from tasks where kind = $1 and state = 'waiting' and run_at <= now()
       order by run_at limit $3 for update skip locked)
     returning id, key, payload, attempts, traceparent`,
    [kind, lease, limit],
  );
}

async function heartbeat(db: Database, running: ReadonlyMap<string, Running>): Promise<void> {
  const now = monotonicMs();
  for (const entry of running.values()) if (entry.until < now) entry.abort.abort();
  const alive = [...running].filter(([, entry]) => !entry.abort.signal.aborted);
  if (alive.length === 0) return;
  const kept = await db.query<{ id: string }>(
    `update tasks set lease_until = now() + ${LEASE}
     from unnest($1::uuid[], $2::uuid[]) as mine(id, lease)
     where tasks.id = mine.id and tasks.lease = mine.lease returning tasks.id`,
    [alive.map(([id]) => id), alive.map(([, entry]) => entry.lease)],
  );
  const still = new Set(kept.map((row) => row.id));
  for (const [id, entry] of alive) if (!still.has(id)) entry.abort.abort();
}

/** Frees the tasks of processes that fell silent; one that did so too often is dead. */
async function takeOver<Context>(db: Database, handlers: readonly TaskHandler<Context>[]) {
  for (const { kind, maxAttempts } of handlers) {
    const freed = await db.query(
      `update tasks set lease = null, lease_until = null,
         state = case when attempts >= $2 then 'dead' else 'waiting' end,
         error = 'its process died or hung while it ran'
       where state = 'running' and lease_until < now() and kind = $1 returning id`,
      [kind, maxAttempts],
    );
    if (freed.length > 0) wakeTasks(kind);
  }
}

async function runOne<Context>(
  db: Database,
  log: Logger,
  handler: TaskHandler<Context>,
  task: Claimed,
  entry: Running,
  context: Context,
): Promise<void> {
  let ended = false;
  const fenced = async (tx: Tx, text: string, values: readonly unknown[]) => {
    const rows = await tx.query(text, [task.id, entry.lease, ...values]);
    if (rows.length !== 1) throw new LeaseLost(`${handler.kind} ${task.key} was taken over`);
    tx.onCommit(() => {
      ended = true;
    });
  };
  const run: TaskRun = {
    ...task,
    kind: handler.kind,
    signal: entry.abort.signal,
    finish: (tx) => fenced(tx, 'delete from tasks where id = $1 and lease = $2 returning id', []),
    again: (tx, delayMs) =>
      fenced(
        tx,
        `update tasks set state = 'waiting', lease = null, lease_until = null, attempts = 0,
           run_at = now() + $3 * interval '1 millisecond'
         where id = $1 and lease = $2 returning id`,
        [delayMs],
      ),
  };
  try {
    const parent = task.traceparent ?? undefined;
    await inSpan(handler.kind, 'CONSUMER', {}, () => handler.run(run, context), parent);
    if (!ended) await db.transaction((tx) => run.finish(tx));
  } catch (error) {
    if (ended || error instanceof LeaseLost) return;
    await putBack(db, log, handler, task, entry.lease, error);
  }
}

async function putBack<Context>(
  db: Database,
  log: Logger,
  handler: TaskHandler<Context>,
  task: Claimed,
  lease: string,
  error: unknown,
): Promise<void> {
  const outage = error instanceof Outage;
  const dead = !outage && task.attempts >= handler.maxAttempts;
  const delayMs = Math.min(30_000, 200 * 2 ** Math.min(task.attempts, 10)) * (0.5 + random() / 2);
  const line = { kind: handler.kind, key: task.key, attempts: task.attempts, err: error };
  if (outage) log.warn({ ...line, err: undefined, reason: error.message }, 'a task waits');
  else log.error(line, dead ? 'a task is dead' : 'a task failed and is tried again');
  await db
    .query(
      `update tasks set lease = null, lease_until = null, error = $3,
         state = case when $4 then 'dead' else 'waiting' end,
         attempts = attempts - $5, run_at = now() + $6 * interval '1 millisecond'
       where id = $1 and lease = $2`,
      [task.id, lease, String(error).slice(0, 1000), dead, outage ? 1 : 0, delayMs],
    )
    .catch((failure: unknown) => log.warn({ err: failure }, 'a task was left to its lease'));
}

const due = gauge('waybill_tasks_due', 'Tasks that are due', ['service', 'kind']);
const oldestDue = gauge('waybill_tasks_oldest_due_age_seconds', 'How long the oldest is due', [
  'service',
  'kind',
]);
const dead = gauge('waybill_tasks_dead', 'Tasks given up', ['service', 'kind']);

/** Refreshes the tasks' gauges; called when metrics are scraped. */
export async function measureTasks(db: Database, kinds: readonly string[]): Promise<void> {
  const { service } = db;
  for (const kind of kinds) {
    const rows = await db.query<{ due: bigint; age: number | null; dead: bigint }>(
      `select (select count(*) from (select from tasks
           where kind = $1 and state = 'waiting' and run_at <= now() limit 10000) d) as due,
         (select extract(epoch from now() - min(run_at))::float8 from tasks
           where kind = $1 and state = 'waiting' and run_at <= now()) as age,
         (select count(*) from tasks where kind = $1 and state = 'dead') as dead`,
      [kind],
    );
    due.set({ service, kind }, Number(rows[0]?.due ?? 0n));
    oldestDue.set({ service, kind }, rows[0]?.age ?? 0);
    dead.set({ service, kind }, Number(rows[0]?.dead ?? 0n));
  }
}
