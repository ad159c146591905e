/** Routes that every service has: its log for consumers, its document, its dead letters. */
import type { Database, Tx } from './db.ts';
import { Refusal } from './errors.ts';
import { LOG_PAGE, readLog, readLogHeads, readLogOfKey } from './eventlog.ts';
import { claimKey, findKept, keepAnswer, type IdempotencyKey } from './idempotency.ts';
import { replayKey, type Inbox } from './inbox.ts';
import { describeRoutes } from './openapi.ts';
import { route, type Reply, type Route } from './route.ts';
import { Identifier, Nullable, OneOf, Timestamp, Type } from './schema.ts';
import type { Service } from './service.ts';
import { wakeTasks } from './tasks.ts';

export interface KitRoutesOptions {
  readonly service: Service;
  readonly db: Database | undefined;
  readonly inboxes: ReadonlyMap<string, Inbox>;
}

/** The kit's own routes for a service; without a database only its document. */
export function kitRoutes(options: KitRoutesOptions): Route<never>[] {
  const { service, db } = options;
  const document = route({
    method: 'GET',
    path: `/internal/${service.name}/openapi`,
    access: ['service'],
    summary: "The service's part of the API document.",
    internal: true,
    replies: { 200: { description: 'A part of an OpenAPI document.' } },
    handle: async () => ({
      status: 200,
      body: describeRoutes(service.name, service.description, [
        ...service.routes,
        ...(db === undefined ? [] : dataRoutes(options, db)),
      ]),
    }),
  });
  return db === undefined ? [document] : [document, ...dataRoutes(options, db)];
}

function dataRoutes(options: KitRoutesOptions, db: Database): Route<never>[] {
  return [logRoute(db), ...deadLetterRoutes(options, db), ...deadTaskRoutes(options, db)];
}

function logRoute(db: Database): Route<never> {
  return route({
    method: 'GET',
    path: `/internal/log/${db.service}`,
    access: ['service'],
    summary: 'Events from the log: after a position, or of one key after a version.',
    internal: true,
    query: Type.Object(
      {
        after: Type.Optional(Type.Integer({ minimum: 0 })),
        view: Type.Optional(OneOf(['events', 'heads'])),
        key: Type.Optional(Identifier(200)),
        after_version: Type.Optional(Type.Integer({ minimum: 0 })),
      },
      { additionalProperties: false },
    ),
    replies: { 200: { description: 'Events in order.' } },
    async handle({ query }) {
      const { key, after = 0, after_version: afterVersion = 0 } = query;
      const read = query.view === 'heads' ? readLogHeads : readLog;
      const events =
        key === undefined
          ? await read(db, after, LOG_PAGE)
          : await readLogOfKey(db, key, afterVersion, LOG_PAGE);
      return { status: 200, body: { events } };
    },
  });
}

const DeadLetter = Type.Object(
  {
    topic: Type.String(),
    key: Type.String(),
    version: Type.Integer(),
    type: Type.String(),
    error: Type.String(),
    attempts: Type.Integer(),
    parked_at: Timestamp,
  },
  { title: 'DeadLetter' },
);

function deadLetterRoutes({ service, inboxes }: KitRoutesOptions, db: Database): Route<never>[] {
  const base = `/api/v1/dead-letters/${service.name}`;
  return [
    route({
      method: 'GET',
      path: base,
      access: ['operator', 'admin'],
      summary: `Events that ${service.name} could not handle, oldest first.`,
      query: Type.Object(
        { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 100 })) },
        { additionalProperties: false },
      ),
      replies: {
        200: Type.Object({ dead_letters: Type.Array(DeadLetter), total: Type.Integer() }),
      },
      async handle({ query }) {
        const rows = await db.query(
          `select topic, key, version, type, error, attempts, parked_at from dead_letters
           order by parked_at, topic, key, version limit $1`,
          [query.limit ?? 100],
        );
        const [count] = await db.query<{ total: bigint }>(
          'select count(*) as total from dead_letters',
        );
        return { status: 200, body: { dead_letters: rows, total: Number(count?.total ?? 0n) } };
      },
    }),
    route({
      method: 'POST',
      path: `${base}/replay`,
      access: ['operator', 'admin'],
      summary: 'Handles the parked events of a key again, in order.',
      body: Type.Object(
        { topic: Identifier(64), key: Identifier(200) },
        { additionalProperties: false },
      ),
      idempotent: true,
      replies: { 200: Type.Object({ replayed: Type.Integer() }) },
      refusals: {
        '404 unknown_topic': 'the service consumes no such topic',
        '409 replay_failed': 'it failed again',
      },
      async handle({ body, idempotency }) {
        const inbox = inboxes.get(body.topic);
        if (inbox === undefined)
          throw new Refusal(
            404,
            'unknown_topic',
            `${service.name} consumes no topic ${body.topic}.`,
          );
        const kept = idempotency === undefined ? undefined : await findKept(db, idempotency);
        // Each event has its own transaction; who asks again after a crash has the rest handled.
        const replayed = kept === undefined ? await replayKey(inbox, body.key) : 0;
        return answerOnce(db, idempotency, async () => ({ replayed }));
      },
    }),
  ];
}

const DeadTask = Type.Object(
  {
    kind: Type.String(),
    key: Type.String(),
    attempts: Type.Integer(),
    error: Nullable(Type.String()),
    created_at: Timestamp,
  },
  { title: 'DeadTask' },
);

function deadTaskRoutes({ service }: KitRoutesOptions, db: Database): Route<never>[] {
  const base = `/api/v1/dead-tasks/${service.name}`;
  return [
    route({
      method: 'GET',
      path: base,
      access: ['operator', 'admin'],
      summary: `Tasks that ${service.name} gave up, oldest first.`,
      replies: { 200: Type.Object({ dead_tasks: Type.Array(DeadTask) }) },
      async handle() {
        const rows = await db.query(
          `select kind, key, attempts, error, created_at from tasks
           where state = 'dead' order by created_at limit 500`,
        );
        return { status: 200, body: { dead_tasks: rows } };
      },
    }),
    route({
      method: 'POST',
      path: `${base}/retry`,
      access: ['operator', 'admin'],
      summary: 'Makes a dead task due again.',
      body: Type.Object(
        { kind: Identifier(64), key: Identifier(200) },
        { additionalProperties: false },
      ),
      idempotent: true,
      replies: { 200: Type.Object({ retried: Type.Integer() }) },
      async handle({ body, idempotency }) {
        return answerOnce(db, idempotency, async (tx) => {
          const rows = await tx.query(
            `update tasks set state = 'waiting', attempts = 0, run_at = now()
             where kind = $1 and key = $2 and state = 'dead' returning id`,
            [body.kind, body.key],
          );
          tx.onCommit(() => wakeTasks(body.kind));
          return { retried: rows.length };
        });
      },
    }),
  ];
}

/** 200 with what was done, or the first answer under the same key. */
function answerOnce(
  db: Database,
  idempotency: IdempotencyKey | undefined,
  run: (tx: Tx) => Promise<object>,
): Promise<Reply> {
  return db.transaction(async (tx) => {
    const kept = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (kept !== undefined)
      return { status: 200, body: kept.response, headers: { 'idempotent-replayed': 'true' } };
    const response = JSON.stringify(await run(tx));
    if (idempotency !== undefined) await keepAnswer(tx, idempotency, { status: 200, response });
    return { status: 200, body: response };
  });
}
