/**
 * Requests over kept connections for little more than a write and a read of a socket: on a machine
 * that generates the load and bears it, what the generator takes is missing where it is measured.
 */
import { connect, type Socket } from 'node:net';

/** Zero: there was no answer. */
export type Answered = (status: number, body: string) => void;

export interface Wire {
  /** Sends over a connection that is free, or over the first that becomes so. */
  send(request: string, answered: Answered): void;
  close(): void;
}

interface Lane {
  readonly socket: Socket;
  answered: Answered | undefined;
  /** What has come of an answer that is not complete. */
  partial: string;
}

const BUFFER = 64 * 1024;

/** The text of a request; its head names neither client nor taste. */
export function requestText(host: string, method: string, path: string, body?: object): string {
  const head = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n`;
  if (body === undefined) return `${head}\r\n`;
  const text = JSON.stringify(body);
  const length = Buffer.byteLength(text);
  return `${head}content-type: application/json\r\ncontent-length: ${length}\r\n\r\n${text}`;
}

/** Opens so many connections, each with one request at a time. */
export async function openWire(url: string, connections: number): Promise<Wire> {
  const free: Lane[] = [];
  const waiting = createQueue();
  let closed = false;

  const begin = (lane: Lane, request: string, answered: Answered) => {
    lane.answered = answered;
    lane.socket.write(request);
  };
  const end: LaneEnds['answered'] = (lane, status, body) => {
    const { answered } = lane;
    // A farewell to a connection that nobody uses: it is about to be closed.
    if (answered === undefined) return;
    lane.answered = undefined;
    const next = waiting.shift();
    if (next === undefined) free.push(lane);
    else begin(lane, ...next);
    answered(status, body);
  };
  const lose: LaneEnds['closed'] = (lane) => {
    const { answered } = lane;
    lane.answered = undefined;
    const place = free.indexOf(lane);
    if (place >= 0) free.splice(place, 1);
    answered?.(0, '');
    if (!closed) open().catch(() => {});
  };
  const open = async () => {
    free.push(await openLane(url, { answered: end, closed: lose }));
  };

  await Promise.all(Array.from({ length: connections }, open));
  return {
    send(request, answered) {
      // In turn, so that none is idle for so long that the server closes it.
      const lane = free.shift();
      if (lane === undefined) waiting.push(request, answered);
      else begin(lane, request, answered);
    },
    close() {
      closed = true;
      for (const { socket } of free) socket.destroy();
    },
  };
}

/** First in, first out, at one price however long it is: a server that stalls makes it long. */
function createQueue() {
  let entries: [request: string, answered: Answered][] = [];
  let next = 0;
  return {
    push: (request: string, answered: Answered) => void entries.push([request, answered]),
    shift() {
      if (next > 1000 && next * 2 > entries.length) {
        entries = entries.slice(next);
        next = 0;
      }
      return next < entries.length ? entries[next++] : undefined;
    },
  };
}

interface LaneEnds {
  answered(lane: Lane, status: number, body: string): void;
  closed(lane: Lane): void;
}

function openLane(url: string, ends: LaneEnds): Promise<Lane> {
  const { hostname, port } = new URL(url);
  const buffer = Buffer.allocUnsafe(BUFFER);
  return new Promise((done, fail) => {
    const callback = (size: number) => {
      lane.partial += buffer.toString('latin1', 0, size);
      const answer = readAnswer(lane.partial);
      if (answer === undefined) return true;
      lane.partial = '';
      ends.answered(lane, answer.status, answer.body);
      return true;
    };
    const at = { host: hostname, port: Number(port), noDelay: true };
    const socket = connect({ ...at, onread: { buffer, callback } });
    const lane: Lane = { socket, answered: undefined, partial: '' };
    socket.once('connect', () => done(lane));
    socket.once('error', fail);
    socket.once('close', () => ends.closed(lane));
  });
}

/** Undefined: there is more to come. */
function readAnswer(text: string): { status: number; body: string } | undefined {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return undefined;
  const status = Number(text.slice(9, 12));
  if (status === 204) return { status, body: '' };
  const [, length = '0'] = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head)) ?? [];
  const from = head + 4;
  if (text.length - from < Number(length)) return undefined;
  return { status, body: text.slice(from) };
}
