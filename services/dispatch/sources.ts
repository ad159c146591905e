/**
 * The source cache: what an assignment must know, fetched in parallel as a dependency graph under
 * one deadline. One call per key at a time; a time-out for each source, and a breaker for each that
 * has a URL. What may be kept is served while it is fresh, and for some time after when a call
 * fails.
 */
import { createBreaker } from '@waybill/kit/breaker.ts';
import { epochMs, monotonicMs } from '@waybill/kit/clock.ts';
import { Outage } from '@waybill/kit/errors.ts';
import { counter, histogram } from '@waybill/kit/telemetry.ts';
import type { HttpSource } from './providers/http.ts';
import type { Facts, OwnSource } from './providers/own.ts';
import type { SourceCache } from './source-cache.ts';
import {
  allNeedsOf,
  DEADLINE_MS,
  faultIn,
  NEUTRAL,
  placeholdersOf,
  SOURCE_NAMES,
  type CacheEntry,
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

/** Fresh: no call that is under way already is joined, because it may tell of a moment ago. */
type FetchSources = (
  orderId: string,
  executorId: string,
  how?: { readonly fresh: boolean },
) => Promise<Knowledge>;

export interface SourceReader {
  /** Everything that an assignment must know. */
  readonly fetchSources: FetchSources;
  /** What is known of the order alone. */
  readonly fetchOrder: (orderId: string) => Promise<SourceData>;
}

const served = counter('waybill_source_served_total', 'Answers of sources, by where from', [
  'source',
  'origin',
]);
const calls = counter('waybill_source_calls_total', 'Calls to sources', ['source', 'outcome']);
const took = histogram('waybill_source_duration_seconds', 'Calls to sources', ['source']);

/** Makes what asks the sources. */
export function createSources(options: SourcesOptions): SourceReader {
  const { sources } = options;
  const ask = createAsking(options);
  const needs = new Map(SOURCE_NAMES.map((name) => [name, allNeedsOf(sources, name)]));
  const fetchOrder: SourceReader['fetchOrder'] = async (orderId) => {
    const asking = { facts: { order_id: orderId }, leftMs: () => DEADLINE_MS, fresh: false };
    return (await ask(sources.general_order_info, asking)).data;
  };
  const fetchSources: FetchSources = async (orderId, executorId, { fresh } = { fresh: false }) => {
    const endMs = monotonicMs() + DEADLINE_MS;
    const leftMs = () => endMs - monotonicMs();
    const given = { order_id: orderId, executor_id: executorId };
    const answers = new Map<SourceName, Promise<Answered>>();
    const start = (name: SourceName): Promise<Answered> => {
      let answer = answers.get(name);
      if (answer === undefined) {
        answer = afterNeeds(name);
        // Whoever awaits it is told; nobody may, when another source has failed first.
        answer.catch(() => {});
        answers.set(name, answer);
      }
      return answer;
    };
    const afterNeeds = async (name: SourceName): Promise<Answered> => {
      const needed = await Promise.all(
        (needs.get(name) ?? []).map(async (need) => [need, (await start(need)).data] as const),
      );
      const facts = { ...given, ...zoneFacts(Object.fromEntries(needed)) };
      return ask(sources[name], { facts, leftMs, fresh });
    };
    const known = await Promise.all(
      SOURCE_NAMES.map(async (name) => [name, await start(name)] as const),
    );
    return Object.fromEntries(known) as Knowledge;
  };
  return { fetchSources, fetchOrder };
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

interface Asking {
  readonly facts: Facts;
  readonly leftMs: () => number;
  readonly fresh: boolean;
}

type Ask = (source: Source, asking: Asking) => Promise<Answered>;

/** What a call came to; that there is no such thing is an answer too. */
type Outcome =
  | { readonly kind: 'answered'; readonly data: SourceData }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'outage'; readonly reason: string; readonly cause?: unknown };

function outage(reason: string, cause?: unknown): Outcome {
  return { kind: 'outage', reason, cause };
}

type Call = (key: string, source: Source, facts: Facts, fresh: boolean) => Promise<Outcome>;

/** Five failures in a row and a source is left alone for 5 s; then one call tries it. */
const BREAKER = { failureThreshold: 5, recoverySeconds: 5 };

/** One call per key at a time: whoever asks the same meanwhile waits for that one. */
function createCalling({ sources, own, http, cache }: SourcesOptions): Call {
  const flights = new Map<string, Promise<Outcome>>();
  // What Waybill answers itself is guarded by the client already, or comes from its own tables.
  const outside = Object.values(sources).filter(({ url }) => url !== undefined);
  const breakers = new Map(
    outside.map(({ name }) => [name, createBreaker(`source ${name}`, BREAKER)]),
  );
  const call = async (source: Source, facts: Facts): Promise<Outcome> => {
    const begunMs = monotonicMs();
    const outcome = await outcomeOf(source, facts, own, http);
    took.observe({ source: source.name }, (monotonicMs() - begunMs) / 1000);
    calls.inc({ source: source.name, outcome: outcome.kind });
    return outcome;
  };
  const guarded = async (source: Source, facts: Facts): Promise<Outcome> => {
    const breaker = breakers.get(source.name);
    if (breaker === undefined) return call(source, facts);
    const { answer } = await breaker.run(() => call(source, facts), undefined);
    if (answer !== undefined) return answer;
    calls.inc({ source: source.name, outcome: 'refused' });
    return outage('its breaker is open');
  };
  // What comes is kept once, also when nobody waits for it any more; nobody waits for the cache.
  const fly = async (key: string, source: Source, facts: Facts): Promise<Outcome> => {
    const outcome = await guarded(source, facts);
    if (isKept(source) && outcome.kind === 'answered')
      void cache.set(key, { data: outcome.data, at: epochMs() }, lifetimeOf(source));
    if (isKept(source) && outcome.kind === 'nothing') void cache.drop(key);
    return outcome;
  };
  return (key, source, facts, fresh) => {
    let flight = fresh ? undefined : flights.get(key);
    if (flight === undefined) {
      const begun = fly(key, source, facts).finally(() => {
        if (flights.get(key) === begun) flights.delete(key);
      });
      flights.set(key, begun);
      flight = begun;
    }
    return flight;
  };
}

function createAsking(options: SourcesOptions): Ask {
  const call = createCalling(options);
  return async (source, { facts, leftMs, fresh }) => {
    const answer = (origin: Origin, data: SourceData, at = epochMs()): Answered => {
      served.inc({ source: source.name, origin });
      return { origin, at: new Date(at).toISOString(), data };
    };
    const asked = placeholdersOf(source);
    const isKnown = asked.every((name) => facts[name] !== undefined);
    const neutral = NEUTRAL[source.name];
    const noZone = facts.zone_id === undefined && facts.zone_name === undefined;
    if (!isKnown && noZone && neutral !== undefined) return answer('none', neutral);
    const key = keyOf(source, asked, facts);
    const entry = isKnown && isKept(source) ? await keptIn(options.cache, key, source) : undefined;
    const age = entry === undefined ? Number.POSITIVE_INFINITY : epochMs() - entry.at;
    if (entry !== undefined && age < source.ttlMs) return answer('cache', entry.data, entry.at);
    const waitMs = Math.min(source.timeoutMs, leftMs());
    const outcome = isKnown
      ? await within(call(key, source, facts, fresh), waitMs)
      : outage('what it is asked by is not known');
    if (outcome.kind === 'answered') return answer('call', outcome.data);
    // Only a failure leaves what was answered before as the best that is known.
    if (outcome.kind === 'outage' && entry !== undefined && age < lifetimeOf(source))
      return answer('stale', entry.data, entry.at);
    if (!source.critical && source.default !== undefined) return answer('default', source.default);
    served.inc({ source: source.name, origin: 'failed' });
    throw failureOf(source, outcome);
  };
}

/**
 * What stands in Waybill's own tables is read anew: it costs no call, and a zone that was just
 * described counts at once, in every process.
 */
function isKept(source: Source): boolean {
  return source.url !== undefined && !source.critical && lifetimeOf(source) > 0;
}

function lifetimeOf({ ttlMs, maxStaleMs }: Source): number {
  return ttlMs + maxStaleMs;
}

/** What others wrote into a shared cache is looked at like any answer. */
async function keptIn(
  cache: SourceCache,
  key: string,
  { name }: Source,
): Promise<CacheEntry | undefined> {
  const entry = await cache.get(key);
  return entry !== undefined && faultIn(name, entry.data) === undefined ? entry : undefined;
}

/** That an order or executor is unknown is news for the caller; of the others it is a failure. */
function failureOf({ name }: Source, outcome: Exclude<Outcome, { kind: 'answered' }>): Error {
  if (outcome.kind === 'outage')
    return new Outage(`source ${name}`, outcome.reason, { cause: outcome.cause });
  if (name === 'general_order_info' || name === 'executor_profile') return new Nothing(name);
  return new Outage(`source ${name}`, 'it knows nothing of it');
}

function keyOf({ name, url }: Source, asked: readonly Placeholder[], facts: Facts): string {
  return JSON.stringify([name, url, ...asked.map((placeholder) => facts[placeholder])]);
}

async function outcomeOf(
  source: Source,
  facts: Facts,
  own: SourcesOptions['own'],
  http: HttpSource,
): Promise<Outcome> {
  try {
    const data =
      source.url === undefined
        ? await own[source.name](facts, source.timeoutMs)
        : await fetchOutside(source.url, source.timeoutMs, facts, http);
    if (data === undefined) return { kind: 'nothing' };
    const fault = faultIn(source.name, data);
    if (fault !== undefined) return outage(`its answer ${fault}`);
    return { kind: 'answered', data: data as SourceData };
  } catch (error) {
    return outage((error as Error).message, error);
  }
}

/** The statuses that say of what is asked about that there is no such thing. */
const NONE = new Set([400, 404, 410, 422]);

async function fetchOutside(
  pattern: string,
  timeoutMs: number,
  facts: Facts,
  http: HttpSource,
): Promise<unknown> {
  const url = pattern.replaceAll(/\{(\w+)\}/g, (_all, name: Placeholder) =>
    encodeURIComponent(facts[name] ?? ''),
  );
  const { status, body } = await http.get(url, timeoutMs);
  if (NONE.has(status)) return undefined;
  if (status !== 200) throw new Error(`answered ${status}`);
  return body ?? null;
}

/** Waits so long and no longer; the call goes on for whoever else waits for it. */
async function within(work: Promise<Outcome>, ms: number): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Outcome>((resolve) => {
    timer = setTimeout(() => resolve(outage('no answer in time')), Math.max(0, ms));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
