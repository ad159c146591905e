/** What the two broker engines (kit/bus/amqp.ts, kit/bus/redis.ts) share. */
import { sleep } from '../clock.ts';
import { Outage } from '../errors.ts';
import type { CloudEvent, Deliver } from './port.ts';

/** The part of a logger that an engine uses. */
export interface EngineLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** How long a batch that its consumer rejected rests before it is handed over again. */
const REDELIVERY_PAUSE_MS = 500;

/** Any fault of an engine as an Outage of the bus, with the engine's own words. */
export function toBusOutage(error: unknown): Outage {
  if (error instanceof Outage) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Outage('bus', detail === '' ? 'the bus cannot be reached' : detail, { cause: error });
}

/** The work's result, or an Outage once the time is up. The work itself is not stopped. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Outage('bus', `${what} took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The event in a message, or undefined if it holds none: a stranger may write to a queue. */
export function decodeEvent(body: unknown): CloudEvent | undefined {
  let value: unknown = body;
  if (typeof body === 'string' || Buffer.isBuffer(body)) {
    try {
      value = JSON.parse(body.toString());
    } catch {
      return undefined;
    }
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const event = value as Partial<CloudEvent>;
  const whole =
    typeof event.id === 'string' &&
    typeof event.topic === 'string' &&
    typeof event.type === 'string' &&
    typeof event.key === 'string' &&
    Number.isSafeInteger(event.position) &&
    Number.isSafeInteger(event.version);
  return whole ? (event as CloudEvent) : undefined;
}

/**
 * Hands a batch over until its consumer takes it (true) or the signal aborts (false). A rejected
 * batch stays in hand and is offered again in place: giving it back to the broker would let its
 * successors overtake it, and would write it to the broker's log twice a second.
 */
export async function deliverUntilTaken(
  events: readonly CloudEvent[],
  deliver: Deliver,
  signal: AbortSignal,
  log: EngineLog,
): Promise<boolean> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      await deliver(events);
      return true;
    } catch (error) {
      const first = events[0];
      if (attempt === 1)
        log.warn(
          { err: error, topic: first?.topic, position: first?.position, events: events.length },
          'A batch was rejected by its consumer and will be delivered again.',
        );
      await sleep(REDELIVERY_PAUSE_MS, signal);
    }
  }
  return false;
}
