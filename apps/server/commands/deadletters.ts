/** `waybill deadletters`: events and tasks that were given up, listed and tried again. */
import { openApi, type Api } from '../api.ts';
import { ownUrl } from '../platform.ts';
import { loadServices, UsageFault } from '../services.ts';
import { renderTable } from '../text-table.ts';

export interface DeadLettersOptions {
  readonly service?: string;
  readonly topic?: string;
  readonly kind?: string;
  readonly key?: string;
  /** This folder's Waybill when left out. */
  readonly url?: string;
  readonly token?: string;
}

interface DeadLetter {
  readonly topic: string;
  readonly key: string;
  readonly version: number;
  readonly type: string;
  readonly error: string;
  readonly attempts: number;
  readonly parked_at: string;
}

interface DeadTask {
  readonly kind: string;
  readonly key: string;
  readonly attempts: number;
  readonly error: string | null;
  readonly created_at: string;
}

interface Dead {
  readonly service: string;
  readonly letters: readonly DeadLetter[];
  readonly letterTotal: number;
  readonly tasks: readonly DeadTask[];
}

/** Lists what is parked; exit code 1 when there is anything. */
export async function listDeadLetters(options: DeadLettersOptions): Promise<void> {
  const api = openApi({ ...options, url: options.url ?? ownUrl() });
  try {
    const all = await collect(api, options);
    const letters = all.flatMap(({ service, letters: own }) =>
      own.map((row) => [
        service,
        row.topic,
        row.key,
        String(row.version),
        row.type,
        row.parked_at,
        firstLine(row.error),
      ]),
    );
    const tasks = all.flatMap(({ service, tasks: own }) =>
      own.map((row) => [service, row.kind, row.key, row.created_at, firstLine(row.error ?? '')]),
    );
    const total = all.reduce((sum, { letterTotal }) => sum + letterTotal, 0);
    print(`Parked events: ${total}`);
    if (letters.length > 0)
      print(
        renderTable(['service', 'topic', 'key', 'version', 'type', 'parked', 'error'], letters),
      );
    print(`Dead tasks: ${tasks.length}`);
    if (tasks.length > 0) print(renderTable(['service', 'kind', 'key', 'created', 'error'], tasks));
    if (total + tasks.length > 0) {
      print('"waybill deadletters replay" tries them again, in order.');
      process.exitCode = 1;
    }
  } finally {
    await api.close();
  }
}

/** Tries parked events and dead tasks again: those named, or all. */
export async function replayDeadLetters(options: DeadLettersOptions): Promise<void> {
  const api = openApi({ ...options, url: options.url ?? ownUrl() });
  try {
    let failed = 0;
    let tried = 0;
    for (const { service, letters, tasks } of await collect(api, options)) {
      const keys = new Map(letters.map(({ topic, key }) => [`${topic} ${key}`, { topic, key }]));
      for (const { topic, key } of keys.values())
        failed += await tryAgain(api, `/api/v1/dead-letters/${service}/replay`, { topic, key });
      for (const { kind, key } of tasks)
        failed += await tryAgain(api, `/api/v1/dead-tasks/${service}/retry`, { kind, key });
      tried += keys.size + tasks.length;
    }
    if (tried === 0) print('nothing is parked');
    if (failed > 0) process.exitCode = 1;
  } finally {
    await api.close();
  }
}

/** 1 when it failed again. */
async function tryAgain(api: Api, path: string, about: Record<string, string>): Promise<number> {
  const name = Object.values(about).join(' ');
  const reply = await api.send('POST', path, about);
  const { replayed, retried, detail } = (reply.body ?? {}) as {
    replayed?: number;
    retried?: number;
    detail?: string;
  };
  if (reply.status >= 300) {
    print(`${name}: ${firstLine(detail ?? `answered ${reply.status}`)}`);
    return 1;
  }
  print(
    `${name}: ${replayed === undefined ? `due again (${retried ?? 0})` : `${replayed} handled`}`,
  );
  return 0;
}

async function collect(api: Api, options: DeadLettersOptions): Promise<Dead[]> {
  const known = (await loadServices([])).filter((service) => service.migrations !== undefined);
  const names = known.map(({ name }) => name);
  if (options.service !== undefined && !names.includes(options.service))
    throw new UsageFault(
      `There is no service "${options.service}"; there are ${names.join(', ')}.`,
    );
  const wanted = options.service === undefined ? names : [options.service];
  const chosen = (row: { topic?: string; kind?: string; key: string }) =>
    (options.key === undefined || options.key === row.key) &&
    (options.topic === undefined || options.topic === row.topic) &&
    (options.kind === undefined || options.kind === row.kind);
  const all: Dead[] = [];
  for (const service of wanted) {
    const { dead_letters, total } = await api.ask<{ dead_letters: DeadLetter[]; total: number }>(
      'GET',
      `/api/v1/dead-letters/${service}?limit=500`,
    );
    const { dead_tasks } = await api.ask<{ dead_tasks: DeadTask[] }>(
      'GET',
      `/api/v1/dead-tasks/${service}`,
    );
    const letters = dead_letters.filter(chosen);
    const narrowed = letters.length < dead_letters.length;
    all.push({
      service,
      letters,
      letterTotal: narrowed ? letters.length : total,
      tasks: dead_tasks.filter(chosen),
    });
  }
  return all;
}

function firstLine(text: string): string {
  const line = text.split('\n')[0] ?? '';
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
