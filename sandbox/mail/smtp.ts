import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { listenAgain, listenAnywhere } from '../listener.ts';

/**
 * How the server behaves. `delay` refuses each recipient for now (451), `reject` for good (550);
 * `hang` never says a word; the last two take the mail, and then do not say so.
 */
export const MODES = [
  'up',
  'down',
  'reset',
  'hang',
  'slow',
  'delay',
  'reject',
  'reset_after_accept',
  'hang_after_accept',
] as const;
export type Mode = (typeof MODES)[number];

export interface Behaviour {
  readonly mode: Mode;
  /** For `slow`: how much longer each reply takes. */
  readonly latencyMs: number;
}

/** A mail as it came over the wire. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: Buffer;
}

export interface SmtpOptions {
  readonly host: string;
  /** 0 chooses a free one. */
  readonly port: number;
  behaviour(): Behaviour;
  take(mail: ReceivedMail): void;
  /** Told of every connection, also of one that is reset. */
  connected(): void;
}

export interface SmtpServer {
  readonly port: number;
  /** Makes a change of behaviour hold for connections that exist. */
  enforce(): Promise<void>;
  close(): Promise<void>;
}

const MOST_CONNECTIONS = 200;
const MOST_RECIPIENTS = 100;
const LONGEST_LINE = 4_096;
const LARGEST_MAIL = 5 * 1024 * 1024;
const IDLE_MS = 120_000;

/** A mail server (RFC 5321) that takes everything and passes nothing on. */
export async function startSmtp(options: SmtpOptions): Promise<SmtpServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    options.connected();
    socket.on('error', () => {});
    if (options.behaviour().mode === 'reset') {
      socket.resetAndDestroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    converse(socket, options).catch(() => socket.destroy());
  });
  server.maxConnections = MOST_CONNECTIONS;
  const port = await listenAnywhere(server, options.host, options.port);
  const shut = async () => {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    port,
    async enforce() {
      const { mode } = options.behaviour();
      if (mode === 'reset') for (const socket of sockets) socket.resetAndDestroy();
      if (mode === 'down') await shut();
      else await listenAgain(server, options.host, port);
    },
    close: shut,
  };
}

/** What a client has said so far of the mail that it brings. */
interface Envelope {
  from: string | undefined;
  to: string[];
}

async function converse(socket: Socket, options: SmtpOptions): Promise<void> {
  const say = async (text: string) => {
    const { mode, latencyMs } = options.behaviour();
    if (mode === 'hang') return new Promise<void>((gone) => socket.once('close', gone));
    if (mode === 'slow') await sleep(latencyMs, undefined, { ref: false });
    if (!socket.destroyed) socket.write(`${text}\r\n`);
    return undefined;
  };
  const lines = readLines(socket);
  let envelope: Envelope = { from: undefined, to: [] };
  await say('220 sandbox ESMTP, where mails end');
  for await (const line of lines) {
    const verb = line.slice(0, 4).trim().toUpperCase();
    if (verb === 'QUIT') {
      await say('221 goodbye');
      socket.end();
      return;
    }
    if (verb === 'DATA' && envelope.to.length > 0) {
      await say('354 go on, and end with a dot');
      const raw = await readData(lines);
      const taken =
        raw === undefined ? '552 too large' : await accept(socket, options, envelope, raw);
      envelope = { from: undefined, to: [] };
      if (taken === undefined) return;
      await say(taken);
    } else await say(answer(verb, line, envelope, options));
  }
}

/** Takes the mail; undefined when nothing more is to be said. */
async function accept(
  socket: Socket,
  options: SmtpOptions,
  { from = '', to }: Envelope,
  raw: Buffer,
): Promise<string | undefined> {
  const { mode } = options.behaviour();
  options.take({ from, to, raw });
  if (mode === 'reset_after_accept') {
    socket.resetAndDestroy();
    return undefined;
  }
  if (mode === 'hang_after_accept') {
    await new Promise((gone) => socket.once('close', gone));
    return undefined;
  }
  return '250 taken';
}

function answer(verb: string, line: string, envelope: Envelope, options: SmtpOptions): string {
  switch (verb) {
    case 'EHLO':
      return `250-sandbox\r\n250-SIZE ${LARGEST_MAIL}\r\n250-8BITMIME\r\n250 SMTPUTF8`;
    case 'HELO':
      return '250 sandbox';
    case 'MAIL': {
      const from = /^MAIL FROM:<([^<>]{0,320})>/i.exec(line)?.[1];
      if (from === undefined) return '501 who is it from?';
      envelope.from = from;
      envelope.to = [];
      return '250 from them';
    }
    case 'RCPT':
      return addRecipient(line, envelope, options);
    case 'RSET':
      envelope.from = undefined;
      envelope.to = [];
      return '250 forgotten';
    case 'NOOP':
      return '250 nothing';
    case 'VRFY':
      return '252 perhaps';
    case 'DATA':
      return '503 whom is it for?';
    default:
      return '502 not known here';
  }
}

/** `delay@…` and `reject@…` are always refused, whatever the mode is. */
function addRecipient(line: string, envelope: Envelope, options: SmtpOptions): string {
  const to = /^RCPT TO:<([^<>]{1,320})>/i.exec(line)?.[1];
  if (envelope.from === undefined) return '503 who is it from?';
  if (to === undefined) return '501 whom is it for?';
  const { mode } = options.behaviour();
  if (mode === 'delay' || to.startsWith('delay@')) return `451 4.7.1 <${to}> not now`;
  if (mode === 'reject' || to.startsWith('reject@')) return `550 5.1.1 <${to}> is not known here`;
  if (envelope.to.length >= MOST_RECIPIENTS) return '452 4.5.3 too many';
  envelope.to.push(to);
  return '250 for them';
}

/** Lines without their end, byte by byte (latin1); a line too long ends the connection. */
async function* readLines(socket: Socket): AsyncGenerator<string, void> {
  let pending = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const lines = (pending + chunk.toString('latin1')).split(/\r?\n/);
    pending = lines.pop() ?? '';
    yield* lines;
    if (pending.length > LONGEST_LINE) throw new Error('a line is too long');
  }
}

/** The mail up to its dot; undefined when it was too large, once all of it was heard. */
async function readData(lines: AsyncGenerator<string, void>): Promise<Buffer | undefined> {
  const kept: string[] = [];
  let size = 0;
  for (;;) {
    const { value: line, done } = await lines.next();
    if (done === true) throw new Error('the mail was not finished');
    if (line === '.') break;
    size += line.length + 2;
    if (size <= LARGEST_MAIL) kept.push(line.startsWith('.') ? line.slice(1) : line);
  }
  return size > LARGEST_MAIL ? undefined : Buffer.from(kept.join('\r\n'), 'latin1');
}
