/** The port through which notifications leave, and the channel that only says that they did. */
import type { Logger } from '@waybill/kit/logger.ts';
import type { Channel, NotificationType } from './contract.ts';
import type { Outcome } from './rules.ts';
import type { Words } from './templates.ts';

export interface OutgoingMessage {
  /** The notification's id: what a repeat is recognised by. */
  readonly id: string;
  readonly address: string;
  readonly type: NotificationType;
  readonly createdAt: string;
  readonly words: Words;
}

export interface ChannelPort {
  /** Sends, or says why not; it throws only for bugs. */
  send(message: OutgoingMessage, signal: AbortSignal): Promise<Outcome>;
  /** How many more may be sent now, given how many are under way. */
  room(running: number): number;
  close(): Promise<void>;
}

const MOST_LOGGED = 16;

/** Stands where nothing better is set up: a line in the log, without address or words. */
export function openLogChannel(channel: Channel, log: Logger): ChannelPort {
  return {
    async send({ id, type }) {
      log.info({ notification: id, channel, type }, 'a notification is logged, not sent');
      return { kind: 'logged', detail: 'no such channel is set up here' };
    },
    room: (running) => Math.max(0, MOST_LOGGED - running),
    close: async () => {},
  };
}
