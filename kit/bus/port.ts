/**
 * The bus port: what every engine (`postgres:`, `amqp:`, `redis:`) must do, and no more.
 *
 * The bus is transport. The truth is the producer's log, and order is kept by the consumer
 * (kit/consumer.ts): it drops what it has seen, holds back what skips a version and pulls what is
 * missing from the producer. An engine therefore promises little: what was published is delivered
 * at least once to every group, roughly in order, until it is acknowledged.
 */
import type { Json } from '../json.ts';

/** A CloudEvents 1.0 envelope with Waybill's extension attributes (spec chapter 0.4). */
export interface CloudEvent {
  readonly specversion: '1.0';
  /** `key:version`; unique within its source. */
  readonly id: string;
  /** `/waybill/<service>` */
  readonly source: string;
  /** UPPER_SNAKE_CASE, e.g. ORDER_CREATED. */
  readonly type: string;
  /** RFC 3339 UTC */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  /** The producing service's name. */
  readonly topic: string;
  /** Dense, from 1, per topic. */
  readonly position: number;
  /** The aggregate's id. */
  readonly key: string;
  /** The aggregate's version, dense from 1 per key. */
  readonly version: number;
  /** W3C trace context of the change that raised the event. */
  readonly traceparent?: string;
  readonly data: Json;
}

/** An event on its way out: what an engine needs to place it, and its envelope as JSON text. */
export interface OutgoingEvent {
  readonly key: string;
  readonly position: number;
  readonly body: string;
}

/** Writes an envelope down for publishing. */
export function outgoing(event: CloudEvent): OutgoingEvent {
  return { key: event.key, position: event.position, body: JSON.stringify(event) };
}

export interface Subscription {
  readonly topic: string;
  /** The consuming service's name. */
  readonly group: string;
  /** 0 … partitions - 1. Events of one key always travel in the same partition. */
  readonly partition: number;
  /** Position from which a positional engine starts reading (exclusive). Queues ignore it. */
  readonly after: number;
  /** At most this many events are handed over at a time. */
  readonly batchSize: number;
}

/**
 * Takes one batch. Resolving acknowledges it; rejecting leaves it unacknowledged, and the engine
 * delivers it again after a pause. The engine never calls it twice at the same time for one
 * subscription.
 */
export type Deliver = (events: readonly CloudEvent[]) => Promise<void>;

export interface Bus {
  /** How many partitions a topic has with this engine; fixed for the engine's life. */
  readonly partitions: number;
  /**
   * Publishes events of one topic, given in position order. Resolves once the engine holds them
   * durably (publisher confirms, append-only file, commit). Publishing an event again is allowed:
   * a consumer drops what it has already seen. Rejects with an Outage if the engine is away.
   */
  publish(topic: string, events: readonly OutgoingEvent[]): Promise<void>;
  /**
   * Whether subscribers are given the producer's log itself, because it lies where the engine
   * does. Its events are published by their position alone, and no copies are made.
   */
  readsLog?(topic: string): Promise<boolean>;
  /**
   * Makes the group's place in the engine exist, so that what is published from now on is kept
   * for it even while it is away. Idempotent. Called by producer and consumer before first use.
   */
  declare(topic: string, groups: readonly string[]): Promise<void>;
  /**
   * Starts delivering. One subscription (topic, group, partition) is open at most once among all
   * processes, which the kit sees to by a lease; an engine must bear a second one for a moment.
   * Reconnects by itself for as long as it is open. The returned function stops it: it waits for
   * the batch in hand, then resolves.
   */
  subscribe(subscription: Subscription, deliver: Deliver): Promise<() => Promise<void>>;
  /** Rejects with an Outage when the engine cannot be reached now. For readiness. */
  ping(): Promise<void>;
  /** Drops what would otherwise be kept for ever; engines that trim by themselves lack it. */
  trim?(topic: string): Promise<void>;
  close(): Promise<void>;
}

/** Which partition a key travels in: FNV-1a over its UTF-8 bytes. Every engine uses this one. */
export function partitionOf(key: string, partitions: number): number {
  if (partitions === 1) return 0;
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(key)) {
    hash ^= byte;
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % partitions;
}
