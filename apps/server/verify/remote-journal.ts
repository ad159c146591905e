/** The sandbox's journal over HTTP, a page at a time. */
import { request } from 'undici';
import { UsageFault } from '../services.ts';

interface Page {
  readonly entries: readonly object[];
  readonly next_after: number;
}

const PAGE = 5000;

/** Entries from the first to the last; rejects with a UsageFault when they cannot be had. */
export async function* readRemoteJournal(url: string, secret: string): AsyncGenerator<object> {
  for (let after = 0; ;) {
    const page = await readPage(url, after, secret);
    yield* page.entries;
    if (page.entries.length === 0) return;
    after = page.next_after;
  }
}

async function readPage(url: string, after: number, secret: string): Promise<Page> {
  const address = new URL(url);
  address.searchParams.set('after', String(after));
  address.searchParams.set('limit', String(PAGE));
  const reply = await request(address, { headers: { 'x-sandbox-secret': secret } }).catch(
    (error: unknown) => {
      throw new UsageFault(`The journal at ${url} cannot be read: ${(error as Error).message}.`);
    },
  );
  const text = await reply.body.text();
  if (reply.statusCode === 401)
    throw new UsageFault(
      `The journal at ${url} wants its secret: set SANDBOX_SECRET, or use the DATA_DIR of the ` +
        'Waybill that started the sandbox.',
    );
  if (reply.statusCode !== 200)
    throw new UsageFault(`The journal at ${url} answered ${reply.statusCode}.`);
  return JSON.parse(text) as Page;
}
