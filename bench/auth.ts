/** Logins: through the gateway with everything running, beside the hashing that each one needs. */
import { openPasswords } from '@waybill/auth/passwords.ts';
import type { Figure, Run } from './figures.ts';
import { hammer, type Load } from './load.ts';
import { startSystem } from './processes.ts';
import { createTally, percentile, type Tally } from './statistics.ts';

const CONNECTIONS = [1, 8];
const WARM_UP_S = 1;
const USERS = 20;
const PASSWORD = 'correct horse battery staple';

const subjects = { login: 'logins', hash: 'a password hashed and compared, nothing else' } as const;
type Subject = keyof typeof subjects;

type Measure = (connections: number, seconds: number) => Promise<Load>;

export async function measureLogins(run: Run): Promise<readonly Figure[]> {
  const { url } = await startSystem(run.stack);
  for (let user = 0; user < USERS; user++) await register(url, `bench-${user}`);
  const hash = await openHashing();
  const measures: Record<Subject, Measure> = { login: (...load) => logIn(url, ...load), hash };
  const tally = createTally();
  await measures.login(8, WARM_UP_S);
  for (let round = 1; round <= run.rounds; round++)
    for (const connections of CONNECTIONS)
      for (const subject of Object.keys(measures) as Subject[]) {
        const load = await measures[subject](connections, run.seconds);
        note(tally, subject, connections, load);
        run.say(
          `auth ${round}/${run.rounds}: ${connections} connections, ${subjects[subject]}: ` +
            `${load.rate.toFixed(1)}/s, p99 ${load.p99.toFixed(1)} ms`,
        );
      }
  return CONNECTIONS.flatMap((connections) => figuresOf(tally, connections));
}

async function register(url: string, username: string): Promise<void> {
  const contact = { email: `${username}@example.com`, phone: '+15550100' };
  const reply = await fetch(`${url}/api/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, ...contact, password: PASSWORD }),
  });
  if (reply.status !== 201) throw new Error(`a registration was answered with ${reply.status}`);
}

function logIn(url: string, connections: number, seconds: number): Promise<Load> {
  let turn = 0;
  const bodyOf = () => JSON.stringify({ username: `bench-${turn++ % USERS}`, password: PASSWORD });
  const options = { connections, seconds, body: bodyOf(), bodyOf, expect: 200 };
  return hammer(`${url}/api/v1/auth/login`, options);
}

/** As many comparisons at once, in this process. */
async function openHashing(): Promise<Measure> {
  const passwords = await openPasswords();
  const stored = await passwords.hash(PASSWORD);
  return async (connections, seconds) => {
    const begun = performance.now();
    const latencies: number[] = [];
    const compare = async () => {
      while (performance.now() - begun < seconds * 1000) {
        const from = performance.now();
        if (!(await passwords.verify(stored, PASSWORD))) throw new Error('it is the password');
        latencies.push(performance.now() - from);
      }
    };
    await Promise.all(Array.from({ length: connections }, compare));
    return {
      answered: latencies.length,
      rate: (latencies.length / (performance.now() - begun)) * 1000,
      p50: percentile(latencies, 0.5),
      p99: percentile(latencies, 0.99),
    };
  };
}

function note(tally: Tally, subject: Subject, connections: number, load: Load): void {
  for (const measure of ['rate', 'p50', 'p99'] as const)
    tally.add(`${subject} ${connections} ${measure}`, load[measure]);
}

function figuresOf(tally: Tally, connections: number): Figure[] {
  const over = `${connections} connection${connections === 1 ? '' : 's'}`;
  return (['rate', 'p50', 'p99'] as const).map((measure) => ({
    name: `${subjects.login}, ${over}${measure === 'rate' ? '' : `, ${measure}`}`,
    unit: measure === 'rate' ? '/s' : 'ms',
    values: tally.values(`login ${connections} ${measure}`),
    peers: [{ name: subjects.hash, values: tally.values(`hash ${connections} ${measure}`) }],
  }));
}
