/**
 * What the gateway itself costs: the same constant answer from a bare Fastify route, from a service
 * alone, and through the gateway, whose token is in its memory or has to be verified.
 */
import { fileURLToPath } from 'node:url';
import { mintToken } from '@waybill/gateway/dev-key.ts';
import { openIdentitySigner } from '@waybill/kit/identity.ts';
import { deriveKey } from '@waybill/kit/secrets.ts';
import type { Figure, Run } from './figures.ts';
import { CONSTANT_PATH, CONSTANT_SERVICE, SECRET } from './gateway-subjects.ts';
import { hammer, type Load } from './load.ts';
import { canMeasureMemory, processorSeconds } from './memory.ts';
import { startBareRoute, startProgram, temporaryFolder, type Started } from './processes.ts';
import { createTally, type Tally } from './statistics.ts';

const PROGRAM = fileURLToPath(new URL('./constant-service.ts', import.meta.url));
const CONNECTIONS = 8;
const WARM_UP_S = 1;
/** Far more than a MB holds, so that in turns none of them is ever remembered. */
const TOKENS = 12_000;

const subjects = {
  bare: 'a bare Fastify route',
  alone: 'the service alone',
  cached: 'through the gateway, token remembered',
  uncached: 'through the gateway, token verified each time',
  proxied: 'through the gateway and its proxy, token remembered',
} as const;
type Subject = keyof typeof subjects;

interface Measured {
  /** Whose processor time is counted. */
  readonly process: Started;
  readonly url: string;
  readonly headersOf: () => Record<string, string>;
}

export async function measureGateway(run: Run): Promise<readonly Figure[]> {
  const measured = await startAll(run);
  const tally = createTally();
  const names = Object.keys(measured) as Subject[];
  for (const name of names) await load(measured[name], WARM_UP_S);
  for (let round = 1; round <= run.rounds; round++)
    for (const name of names) await measure(run, tally, name, measured[name], round);
  return names.filter((name) => name !== 'bare').flatMap((name) => figuresOf(tally, name));
}

async function startAll({ stack, say }: Run): Promise<Record<Subject, Measured>> {
  const folder = temporaryFolder(stack);
  const env = {
    AUTH_MODE: 'jwt',
    DATA_DIR: folder,
    WAYBILL_SECRET: SECRET,
    // Counted, and never reached.
    RATE_LIMIT: '10000000',
    TOKEN_MEMORY_MB: '1',
  };
  const start = (what: string, more: Record<string, string> = {}) =>
    startProgram(stack, PROGRAM, [what], { ...env, ...more });
  const [bare, alone, together] = await Promise.all([
    startBareRoute(stack),
    start('alone'),
    start('together'),
  ]);
  const discovery = `static:${CONSTANT_SERVICE}=${alone.url}`;
  const front = await start('front', { DISCOVERY_URL: discovery });
  say(`gateway: signs ${TOKENS} tokens`);
  const tokens = await mintTokens(folder);
  const signer = openIdentitySigner(deriveKey(SECRET, 'identity'));
  const ada = { subject: 'ada', roles: ['customer'] } as const;
  const path = (process: Started) => process.url + CONSTANT_PATH;
  const remembered = () => ({ authorization: tokens[0] as string });
  const signed = () => ({ 'waybill-identity': signer.sign(ada, CONSTANT_SERVICE) });
  let turn = 0;
  const another = () => ({ authorization: tokens[turn++ % tokens.length] as string });
  return {
    bare: { process: bare, url: `${bare.url}/`, headersOf: remembered },
    alone: { process: alone, url: path(alone), headersOf: signed },
    cached: { process: together, url: path(together), headersOf: remembered },
    uncached: { process: together, url: path(together), headersOf: another },
    proxied: { process: front, url: path(front), headersOf: remembered },
  };
}

async function mintTokens(dataDir: string): Promise<string[]> {
  const tokens: string[] = [];
  const request = { dataDir, subject: 'ada', roles: ['customer'], ttlSeconds: 86_400 } as const;
  while (tokens.length < TOKENS) tokens.push(`Bearer ${await mintToken(request)}`);
  return tokens;
}

function load({ url, headersOf }: Measured, seconds: number): Promise<Load> {
  return hammer(url, { method: 'GET', connections: CONNECTIONS, seconds, headersOf, expect: 200 });
}

async function measure(
  run: Run,
  tally: Tally,
  name: Subject,
  subject: Measured,
  round: number,
): Promise<void> {
  const before = canMeasureMemory() ? processorSeconds(subject.process.pid) : 0;
  const { rate, p99, answered } = await load(subject, run.seconds);
  tally.add(`${name} rate`, rate);
  tally.add(`${name} p99`, p99);
  if (canMeasureMemory()) {
    const used = processorSeconds(subject.process.pid) - before;
    tally.add(`${name} processor`, (used / answered) * 1_000_000);
  }
  run.say(`gateway ${round}/${run.rounds}: ${subjects[name]}: ${Math.round(rate)}/s`);
}

function figuresOf(tally: Tally, name: Subject): Figure[] {
  const kinds = [
    ['rate', '/s', ''],
    ['p99', 'ms', ', p99'],
    ...(canMeasureMemory() ? ([['processor', 'µs', ', processor time a request']] as const) : []),
  ] as const;
  return kinds.map(([kind, unit, what]) => ({
    name: `${subjects[name]}${what}`,
    unit,
    values: tally.values(`${name} ${kind}`),
    peers: (['bare', 'alone'] as const)
      .filter((peer) => peer !== name)
      .map((peer) => ({ name: subjects[peer], values: tally.values(`${peer} ${kind}`) })),
  }));
}
