/**
 * The sources as data: where each is, how long it may take, whether it may be kept, what it needs
 * first, and what counts as an answer.
 */
import { currencyExponent } from '@waybill/kit/money.ts';
import { OrderId } from './contract.ts';
import { decimalOf, textOf } from './rules.ts';

export const SOURCE_NAMES = [
  'general_order_info',
  'executor_profile',
  'assign_order_configs',
  'zone_info',
  'toll_roads_info',
] as const;
export type SourceName = (typeof SOURCE_NAMES)[number];

export type SourceData = Readonly<Record<string, unknown>>;

/** An answer that is kept. */
export interface CacheEntry {
  readonly data: SourceData;
  /** When it was answered, in epoch milliseconds. */
  readonly at: number;
}

export interface Source {
  readonly name: SourceName;
  /** With {order_id}, {executor_id}, {zone_id} and {zone_name}. Absent: Waybill itself answers. */
  readonly url: string | undefined;
  readonly timeoutMs: number;
  /** Never kept, and never made up: without its answer of now there is no assignment. */
  readonly critical: boolean;
  /** Younger answers are served without a call. */
  readonly ttlMs: number;
  /** How much longer than that an answer may be served when a call fails. */
  readonly maxStaleMs: number;
  readonly default: SourceData | undefined;
  readonly needs: readonly SourceName[];
}

export type Sources = Readonly<Record<SourceName, Source>>;

/** One request's deadline over all of its sources. */
export const DEADLINE_MS = 2000;

const usual = { url: undefined, timeoutMs: 1000, ttlMs: 0, maxStaleMs: 0, default: undefined };

const DEFAULTS: Sources = {
  general_order_info: { ...usual, name: 'general_order_info', critical: true, needs: [] },
  executor_profile: { ...usual, name: 'executor_profile', critical: true, needs: [] },
  assign_order_configs: {
    ...usual,
    name: 'assign_order_configs',
    critical: false,
    ttlMs: 60_000,
    maxStaleMs: 600_000,
    needs: [],
  },
  zone_info: {
    ...usual,
    name: 'zone_info',
    critical: false,
    ttlMs: 600_000,
    maxStaleMs: 3_600_000,
    needs: ['general_order_info', 'executor_profile'],
  },
  toll_roads_info: {
    ...usual,
    name: 'toll_roads_info',
    critical: true,
    needs: ['zone_info', 'general_order_info', 'executor_profile'],
  },
};

/** What stands for a source that would be asked about a zone when there is none. */
export const NEUTRAL: Partial<Record<SourceName, SourceData>> = {
  zone_info: { zone_id: null, display_name: null, coin_coeff: 1 },
  toll_roads_info: { bonus_amount: 0 },
};

const PLACEHOLDER = /\{(\w*)\}/g;
const PLACEHOLDERS = ['order_id', 'executor_id', 'zone_id', 'zone_name'] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];

/** The placeholders of a source: of its URL, or what Waybill's own answer depends on. */
export function placeholdersOf({ name, url }: Source): Placeholder[] {
  if (url !== undefined)
    return [...url.matchAll(PLACEHOLDER)].map((match) => match[1] as Placeholder);
  return OWN_PLACEHOLDERS[name];
}

const OWN_PLACEHOLDERS: Readonly<Record<SourceName, Placeholder[]>> = {
  general_order_info: ['order_id'],
  executor_profile: ['executor_id'],
  assign_order_configs: [],
  zone_info: ['zone_id'],
  toll_roads_info: ['zone_id'],
};

/** Whose answers may tell a placeholder; order and executor are known from the start. */
const TOLD_BY: Readonly<Record<'zone_id' | 'zone_name', readonly SourceName[]>> = {
  zone_id: ['zone_info', 'general_order_info', 'executor_profile'],
  zone_name: ['zone_info'],
};

/** What a source needs, and what that needs in its turn. */
export function allNeedsOf(sources: Sources, name: SourceName): SourceName[] {
  const { needs } = sources[name];
  return [...new Set([...needs, ...needs.flatMap((need) => allNeedsOf(sources, need))])];
}

/** Why this is no answer of that source; undefined when it is one. */
export function faultIn(name: SourceName, data: unknown): string | undefined {
  if (!isObject(data)) return 'is no object';
  // Passed over, it would look as if there were no zone.
  const zoneId = data['zone_id'] ?? '';
  if (typeof zoneId !== 'string' && TOLD_BY.zone_id.includes(name)) return 'has no usable zone_id';
  switch (name) {
    case 'general_order_info':
      if (!isUsableId(data['order_id'])) return 'has no usable order_id';
      if (!isAmount(data['base_amount'])) return 'has no usable base_amount';
      if (typeof data['currency'] !== 'string' || currencyExponent(data['currency']) === undefined)
        return 'has no usable currency';
      return undefined;
    case 'executor_profile':
      return typeof data['executor_id'] === 'string' ? undefined : 'has no executor_id';
    case 'assign_order_configs':
      return data['max_coin_coeff'] == null || isAmount(data['max_coin_coeff'])
        ? undefined
        : 'has no usable max_coin_coeff';
    case 'zone_info':
      return isAmount(data['coin_coeff']) ? undefined : 'has no usable coin_coeff';
    case 'toll_roads_info':
      return isAmount(data['bonus_amount']) ? undefined : 'has no usable bonus_amount';
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** With more decimals the lines of a cost, which are numbers, would not add up to it. */
function isAmount(value: unknown): boolean {
  const decimal = decimalOf(value);
  if (decimal === undefined || decimal.digits < 0n) return false;
  return decimal.scale <= 6 || (textOf(decimal).split('.')[1] ?? '').length <= 6;
}

const ORDER_ID = OrderId as unknown as { readonly pattern: string; readonly maxLength: number };
const ORDER_ID_PATTERN = new RegExp(ORDER_ID.pattern, 'u');

/** Assignments are kept, and found again by path, under the id that the order's source tells. */
function isUsableId(value: unknown): boolean {
  if (typeof value !== 'string' || value !== value.normalize('NFC')) return false;
  const { length } = Array.from(value);
  return length >= 1 && length <= ORDER_ID.maxLength && ORDER_ID_PATTERN.test(value);
}

const MAX_DEPTH = 32;

/** Whether PostgreSQL keeps it as JSON: no U+0000, no half of a surrogate pair, not too deep. */
export function isStorable(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return !value.includes('\u0000') && value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return (
    depth < MAX_DEPTH &&
    Object.entries(value).every(([key, part]) => isStorable(key) && isStorable(part, depth + 1))
  );
}

/** The defaults with the changes of DISPATCH_SOURCES; what is wrong with those goes to `faults`. */
export function parseSources(text: string | undefined, faults: string[]): Sources {
  const sources: Record<SourceName, Source> = { ...DEFAULTS };
  const changes = text === undefined ? {} : parseObject(text, faults);
  for (const [name, change] of Object.entries(changes)) {
    if (!SOURCE_NAMES.includes(name as SourceName)) {
      faults.push(`there is no source "${name}"; there are ${SOURCE_NAMES.join(', ')}.`);
      continue;
    }
    const known = name as SourceName;
    sources[known] = changed(sources[known], change, (fault) => faults.push(`${name}: ${fault}`));
  }
  if (faults.length === 0) refuseCircles(sources, faults);
  if (faults.length === 0) refuseUntold(sources, faults);
  return sources;
}

function parseObject(text: string, faults: string[]): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Told below.
  }
  faults.push('must be a JSON object by source name.');
  return {};
}

const MILLISECONDS = { timeout_ms: 1, ttl_seconds: 1000, max_stale_seconds: 1000 };
const FIELDS = { timeout_ms: 'timeoutMs', ttl_seconds: 'ttlMs', max_stale_seconds: 'maxStaleMs' };

/** One source with what is said of it; every member is checked, because people write it. */
function changed(source: Source, change: unknown, fault: (text: string) => void): Source {
  if (!isObject(change)) {
    fault('must be an object.');
    return source;
  }
  const next: Record<string, unknown> = { ...source };
  for (const [member, value] of Object.entries(change))
    switch (member) {
      case 'url':
        if (typeof value === 'string' && isUsableUrl(value)) next['url'] = value;
        else fault(`url must be http(s), with no placeholders but {${PLACEHOLDERS.join('}, {')}}.`);
        break;
      case 'timeout_ms':
      case 'ttl_seconds':
      case 'max_stale_seconds':
        if (typeof value === 'number' && value >= 0 && value <= 31_536_000)
          next[FIELDS[member]] = value * MILLISECONDS[member];
        else fault(`${member} must be a number from 0 on.`);
        break;
      case 'critical':
        if (typeof value === 'boolean') next['critical'] = value;
        else fault('critical must be true or false.');
        break;
      case 'default':
        next['default'] = value;
        if (!isStorable(value)) fault('its default holds what cannot be stored.');
        else if (faultIn(source.name, value) !== undefined)
          fault(`its default ${String(faultIn(source.name, value))}.`);
        break;
      case 'needs':
        if (isListOfNames(value)) next['needs'] = value;
        else fault('needs must be a list of sources.');
        break;
      default:
        fault(`knows no "${member}".`);
    }
  return next as unknown as Source;
}

function isUsableUrl(text: string): boolean {
  const known = [...text.matchAll(PLACEHOLDER)].every((match) =>
    (PLACEHOLDERS as readonly unknown[]).includes(match[1]),
  );
  return known && /^https?:\/\//.test(text) && URL.canParse(text.replaceAll(PLACEHOLDER, 'x'));
}

function isListOfNames(value: unknown): value is SourceName[] {
  return Array.isArray(value) && value.every((name) => SOURCE_NAMES.includes(name as SourceName));
}

function refuseCircles(sources: Sources, faults: string[]): void {
  const visit = (name: SourceName, path: readonly SourceName[]): void => {
    if (path.includes(name)) faults.push(`${[...path, name].join(' needs ')}, which has no end.`);
    else for (const need of sources[name].needs) visit(need, [...path, name]);
  };
  for (const name of SOURCE_NAMES) if (faults.length === 0) visit(name, []);
}

/** A source that is asked by what nobody tells it would never be asked. */
function refuseUntold(sources: Sources, faults: string[]): void {
  for (const name of SOURCE_NAMES) {
    const needs = allNeedsOf(sources, name);
    for (const asked of placeholdersOf(sources[name])) {
      if (asked !== 'zone_id' && asked !== 'zone_name') continue;
      if (!TOLD_BY[asked].some((teller) => needs.includes(teller)))
        faults.push(`${name}: nothing that it needs tells {${asked}}.`);
    }
  }
}
