/**
 * The source cache: what an assignment must know, fetched in parallel as a dependency graph under
 * one deadline. One call per key at a time, a breaker and a time-out for each source; what may be
 * kept is served while it is fresh, and for some time after when a call fails.
 */
import { epochMs, monotonicMs } from '@waybill/kit/clock.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { counter, gauge, histogram } from '@waybill/kit/telemetry.ts';
import type { HttpSource } from './providers/http.ts';
import type { Facts, OwnSource } from './providers/own.ts';
import type { SourceCache } from './source-cache.ts';
import {
  DEADLINE_MS,
  faultIn,
  NEUTRAL,
  placeholdersOf,
  SOURCE_NAMES,
  type Placeholder,
  type Source,
  type SourceData,
  type SourceName,
  type Sources,
} from './source-settings.ts';

/** How an answer came about: `none` says that there was nothing to ask about. */
export type Origin = 'call' | 'cache' | 'stale' | 'default' | 'none';

export interface Answered {
  readonly origin: Origin;
  readonly at: string;
  readonly data: SourceData;
}

export type Knowledge = Readonly<Record<SourceName, Answered>>;

export interface SourcesOptions {
  readonly sources: Sources;
  readonly own: Readonly<Record<SourceName, OwnSource>>;
  readonly http: HttpSource;
  readonly cache: SourceCache;
}

/** A source has answered that what it was asked about does not exist. */
export class Nothing extends Error {
  override readonly name = 'Nothing';
  readonly source: SourceName;
  constructor(source: SourceName) {
    super(`${source} knows nothing of it`);
    this.source = source;
  }
}

export type FetchSources = (orderId: string, executorId: string) => Promise<Knowledge>;

const served = counter('waybill_source_served_total', 'Answers of sources, by where from', [
  'source',
  'origin',
]);
const calls = counter('waybill_source_calls_total', 'Calls to sources', ['source', 'outcome']);
const took = histogram('waybill_source_duration_seconds', 'Calls to sources', ['source']);
const open = gauge('waybill_source_breaker_open', '1 while a source is not called', ['source']);

/** Makes the function that fetches all sources for an assignment. */
export function createSources(options: SourcesOptions): FetchSources {
  const ask = createAsking(options);
  return async (orderId, executorId) => {
    const endMs = monotonicMs() + DEADLINE_MS;
    const given = { order_id: orderId, executor_id: executorId };
    const answers = new Map<SourceName, Promise<Answered>>();
    const start = (name: SourceName): Promise<Answered> => {
      let answer = answers.get(name);
      if (answer === undefined) {
        answer = afterNeeds(options.sources[name]);
        // Whoever awaits it is told; nobody may, when another source has failed first.
        answer.catch(() => {});
        answers.set(name, answer);
      }
      return answer;
    };
    const afterNeeds = async (source: Source): Promise<Answered> => {
      const needed = await Promise.all(
        source.needs.map(async (need) => [need, (await start(need)).data] as const),
      );
      const facts = { ...given, ...zoneFacts(Object.fromEntries(needed)) };
      return ask(source, facts, () => endMs - monotonicMs());
    };
    const known = await Promise.all(
      SOURCE_NAMES.map(async (name) => [name, await start(name)] as const),
    );
    return Object.fromEntries(known) as Knowledge;
  };
}

/** The order's own zone comes before the one that the executor works in. */
function zoneFacts(needed: Partial<Record<SourceName, SourceData>>): Facts {
  const { general_order_info: order, executor_profile: executor, zone_info: zone } = needed;
  const text = (...values: unknown[]) =>
    values.find((value): value is string => typeof value === 'string' && value !== '');
  const zoneId = text(zone?.['zone_id'], order?.['zone_id'], executor?.['zone_id']);
  const zoneName = text(zone?.['display_name']);
  return {
    ...(zoneId === undefined ? {} : { zone_id: zoneId }),
    ...(zoneName === undefined ? {} : { zone_name: zoneName }),
  };
}

type Ask = (source: Source, facts: Facts, leftMs: () => number) => Promise<Answered>;

type Call = (key: string, source: Source, facts: Facts) => Promise<SourceData>;

/** One call per key at a time: whoever asks the same meanwhile waits for that one. */
function createCalling({ own, http }: Pick<SourcesOptions, 'own' | 'http'>): Call {
  const flights = new Map<string, Promise<SourceData>>();
  const breakers = new Map(SOURCE_NAMES.map((name) => [name, createBreaker(name)]));

  const call = async (source: Source, facts: Facts): Promise<SourceData> => {
    const breaker = breakers.get(source.name) as Breaker;
    if (!breaker.mayCall()) {
      calls.inc({ source: source.name, outcome: 'refused' });
      throw new Outage(`source ${source.name}`, 'its breaker is open');
    }
    const begunMs = monotonicMs();
    try {
      const data = await answerOf(source, facts, own, http);
      const fault = faultIn(source.name, data);
      if (fault !== undefined) throw new Outage(`source ${source.name}`, `its answer ${fault}`);
      breaker.succeeded();
      calls.inc({ source: source.name, outcome: 'answered' });
      return data;
    } catch (error) {
      if (error instanceof Nothing) breaker.succeeded();
      else breaker.failed();
      const outcome = error instanceof Nothing ? 'nothing' : 'failed';
      calls.inc({ source: source.name, outcome });
      throw error;
    } finally {
      took.observe({ source: source.name }, (monotonicMs() - begunMs) / 1000);
    }
  };

  return (key, source, facts) => {
    let flight = flights.get(key);
    if (flight === undefined) {
      flight = call(source, facts).finally(() => flights.delete(key));
      flight.catch(() => {});
      flights.set(key, flight);
    }
    return flight;
  };
}

function createAsking({ cache, own, http }: SourcesOptions): Ask {
  const call = createCalling({ own, http });
  return async (source, facts, leftMs) => {
    const answer = (origin: Origin, data: SourceData, at = epochMs()): Answered => {
      served.inc({ source: source.name, origin });
      return { origin, at: new Date(at).toISOString(), data };
    };
    const neutral = NEUTRAL[source.name];
    const asked = placeholdersOf(source);
    if (neutral !== undefined && asked.some((name) => facts[name] === undefined))
      return answer('none', neutral);
    const key = keyOf(source, asked, facts);
    // What stands in Waybill's own tables is read anew: it costs no call, and a zone that was just
    // described counts at once, in every process.
    const isKept = source.url !== undefined && !source.critical && source.ttlMs > 0;
    const entry = isKept ? await cache.get(key) : undefined;
    const age = entry === undefined ? Number.POSITIVE_INFINITY : epochMs() - entry.at;
    if (entry !== undefined && age < source.ttlMs) return answer('cache', entry.data, entry.at);
    try {
      const data = await within(
        call(key, source, facts),
        Math.min(source.timeoutMs, leftMs()),
        source,
      );
      if (isKept) await cache.set(key, { data, at: epochMs() }, source.ttlMs + source.maxStaleMs);
      return answer('call', data);
    } catch (error) {
      if (entry !== undefined && age < source.ttlMs + source.maxStaleMs)
        return answer('stale', entry.data, entry.at);
      if (!source.critical && source.default !== undefined)
        return answer('default', source.default);
      served.inc({ source: source.name, origin: 'failed' });
      throw failureOf(source, error);
    }
  };
}

/** That an order or executor is unknown is news for the caller; of the others it is a failure. */
function failureOf({ name }: Source, error: unknown): unknown {
  if (error instanceof Nothing && (name === 'general_order_info' || name === 'executor_profile'))
    return error;
  if (error instanceof Outage && error.target === `source ${name}`) return error;
  return new Outage(`source ${name}`, (error as Error).message, { cause: error });
}

function keyOf({ name }: Source, asked: readonly Placeholder[], facts: Facts): string {
  return JSON.stringify([name, ...asked.map((placeholder) => facts[placeholder] ?? '')]);
}

async function answerOf(
  source: Source,
  facts: Facts,
  own: SourcesOptions['own'],
  http: HttpSource,
): Promise<SourceData> {
  if (source.url === undefined) {
    const data = await own[source.name](facts, source.timeoutMs);
    if (data === undefined) throw new Nothing(source.name);
    return data;
  }
  const url = source.url.replaceAll(/\{(\w+)\}/g, (_all, name: Placeholder) =>
    encodeURIComponent(facts[name] ?? ''),
  );
  const reply = await http.get(url, source.timeoutMs);
  if (reply.status === 404) throw new Nothing(source.name);
  if (reply.status !== 200) throw new Outage(`source ${source.name}`, `answered ${reply.status}`);
  return reply.body as SourceData;
}

/** Waits so long and no longer; the call goes on for whoever else waits for it. */
function within<T>(work: Promise<T>, ms: number, { name }: Source): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Outage(`source ${name}`, 'no answer in time'));
    const timer = setTimeout(late, Math.max(0, ms));
    const inTime =
      <Value>(settle: (value: Value) => void) =>
      (value: Value) => {
        clearTimeout(timer);
        settle(value);
      };
    work.then(inTime(resolve), inTime(reject));
  });
}

const THRESHOLD = 5;
const REST_MS = 5000;

interface Breaker {
  mayCall(): boolean;
  succeeded(): void;
  failed(): void;
}

/** Five failures in a row and the source is left alone for 5 s; then one call tries it. */
function createBreaker(source: SourceName): Breaker {
  let failures = 0;
  let restsUntil = 0;
  return {
    mayCall() {
      if (failures < THRESHOLD) return true;
      if (monotonicMs() < restsUntil) return false;
      restsUntil = monotonicMs() + REST_MS;
      return true;
    },
    succeeded() {
      failures = 0;
      open.set({ source }, 0);
    },
    failed() {
      failures++;
      restsUntil = monotonicMs() + REST_MS;
      if (failures >= THRESHOLD) open.set({ source }, 1);
    },
  };
}
