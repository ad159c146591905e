/** Where published keys come from: a URL, or the platform's own auth service. */
import { request } from 'undici';
import type { Client } from '@waybill/kit/client.ts';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import type { Publisher } from './keys.ts';
import type { Revocations } from './revocations.ts';

const ANSWER_MS = 3000;
const MAX_BYTES = 262_144;

/** The set behind AUTH_JWKS_URL, of an issuer that is somebody else's. */
export function publishedAt(url: string): Publisher {
  return {
    name: 'AUTH_JWKS_URL',
    freshMs: 300_000,
    cooldownMs: 5000,
    read: async () => JSON.parse(await fetchText(url)) as unknown,
  };
}

/**
 * The set of the auth service. Its keys are known no sooner than what it has taken back, so that no
 * token is believed in between.
 */
export function publishedByAuth(client: Client, revocations: Revocations): Publisher {
  const call = { method: 'GET', path: '/internal/auth/keys', idempotent: true } as const;
  return {
    name: 'the auth service',
    freshMs: 30_000,
    cooldownMs: 1000,
    async read() {
      await revocations.known();
      return client.call('auth', call, deadlineIn(ANSWER_MS));
    },
  };
}

async function fetchText(url: string): Promise<string> {
  const { statusCode, body } = await request(url, {
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (statusCode !== 200) throw new Error(`it was answered with ${statusCode}`);
  return Buffer.concat(chunks).toString();
}
