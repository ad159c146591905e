/** A server with one fault on purpose, and a document that does not own up to it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const thing = {
  type: 'object',
  required: ['name'],
  properties: { name: { type: 'string', minLength: 1, maxLength: 10, pattern: '^[a-z]+$' } },
  additionalProperties: false,
};
const problem = {
  content: {
    'application/problem+json': {
      schema: { type: 'object', required: ['code'], properties: { code: { type: 'string' } } },
    },
  },
};
const document = {
  paths: {
    '/things': {
      post: {
        operationId: 'postThings',
        parameters: [
          {
            name: 'Idempotency-Key',
            in: 'header',
            schema: { type: 'string', pattern: '^[a-z]+$' },
          },
        ],
        requestBody: { required: true, content: { 'application/json': { schema: thing } } },
        responses: {
          201: { content: { 'application/json': { schema: thing } } },
          400: problem,
          415: problem,
          422: problem,
          503: problem,
        },
        'x-refusals': ['422 key_reused'],
      },
    },
    '/things/{name}': {
      get: {
        operationId: 'getThing',
        parameters: [{ name: 'name', in: 'path', required: true, schema: thing.properties.name }],
        responses: { 200: { content: { 'application/json': { schema: thing } } }, 400: problem },
      },
    },
  },
};

/** What is wrong with the server; `nothing`: it keeps what its document says. */
export type Fault =
  | 'nothing'
  | 'crashes on other letters'
  | 'hangs up on a long name'
  | 'answers 418'
  | 'answers text'
  | 'forgets the name'
  | 'accepts anything'
  | 'refuses good names'
  | 'tells its stack'
  | 'is overloaded and says no more'
  | 'sends its clients nowhere'
  | 'forgets its keys';

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}

/** A reply with the body that was asked for it. */
interface Kept extends Reply {
  readonly text: string;
}

const refusal = (status: number, code: string, more = {}): Reply => ({
  status,
  body: { code, ...more },
  headers: { 'content-type': 'application/problem+json' },
});

/** Starts it; `close` ends it. */
export async function startFaulty(fault: Fault) {
  const kept = new Map<string, Kept>();
  const server: Server = createServer((request, response) => {
    void answer(request, response, fault, kept);
  });
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  fault: Fault,
  kept: Map<string, Kept>,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  if (fault === 'hangs up on a long name' && text.length > 500) return void response.destroy();
  const { status, body, headers } = replyTo(request, text, fault, kept);
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

function replyTo(
  { url = '', headers, method }: IncomingMessage,
  text: string,
  fault: Fault,
  kept: Map<string, Kept>,
): Reply {
  if (url === '/openapi.json') return { status: 200, body: document };
  if (method === 'GET') return getThing(decode(url.slice('/things/'.length)), fault);
  const key = headers['idempotency-key'];
  if (key !== undefined && (typeof key !== 'string' || !/^[a-z]+$/.test(key)))
    return refusal(400, 'invalid_key');
  const known = typeof key === 'string' ? kept.get(key) : undefined;
  if (known !== undefined && known.text !== text) return refusal(422, 'key_reused');
  if (known !== undefined && fault !== 'forgets its keys')
    return { ...known, headers: { ...known.headers, 'idempotent-replayed': 'true' } };
  const reply = postThing(headers, text, fault);
  if (typeof key === 'string' && reply.status === 201) kept.set(key, { ...reply, text });
  return reply;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function getThing(name: string, fault: Fault): Reply {
  if (fault === 'sends its clients nowhere' || !/^[a-z]{1,10}$/.test(name))
    return refusal(400, 'invalid_name');
  return { status: 200, body: fault === 'forgets the name' ? {} : { name } };
}

function postThing(headers: IncomingMessage['headers'], text: string, fault: Fault): Reply {
  if (fault === 'crashes on other letters' && /[^\0-\x7f]/.test(text))
    return refusal(500, 'internal_error');
  if (fault === 'is overloaded and says no more') return refusal(503, 'busy');
  if (headers['content-type'] !== 'application/json' || 'content-encoding' in headers)
    return refusal(415, 'unsupported');
  let value: { name?: unknown } | undefined;
  try {
    value = JSON.parse(text) as typeof value;
  } catch (error) {
    const stack = fault === 'tells its stack' ? { stack: (error as Error).stack } : {};
    return refusal(400, 'malformed', stack);
  }
  const name = value?.name;
  const fits = typeof name === 'string' && /^[a-z]{1,10}$/.test(name);
  const good = fits && text === JSON.stringify({ name });
  if (!good && fault === 'answers 418') return refusal(418, 'teapot');
  if (!good && fault !== 'accepts anything') return refusal(422, 'invalid');
  if (fault === 'refuses good names' && String(name).startsWith('a'))
    return refusal(422, 'invalid');
  if (fault === 'answers text')
    return { status: 201, body: 'made', headers: { 'content-type': 'text/plain' } };
  const location = { location: `/things/${fits ? name : 'a'}` };
  return { status: 201, body: { name: fits ? name : 'a' }, headers: location };
}
