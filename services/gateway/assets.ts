/** Files of the documentation pages, served from memory; the few that are listed, and no folder. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface Asset {
  readonly type: string;
  /** A text, or the path of a file. */
  readonly from: { readonly text: string } | { readonly file: string };
  /** Changes to the file. */
  readonly adapt?: (text: string) => string;
}

export const SCRIPT = 'text/javascript; charset=utf-8';
export const STYLE = 'text/css; charset=utf-8';

interface Loaded {
  readonly body: Buffer;
  readonly etag: string;
}

/** Makes the handler of one asset. It is read when it is first asked for, and kept. */
export function serveAsset(asset: Asset) {
  let loaded: Promise<Loaded> | undefined;
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { body, etag } = await (loaded ??= load(asset));
    reply.header('etag', etag).header('cache-control', 'public, max-age=3600');
    if (request.headers['if-none-match'] === etag) return reply.status(304).send();
    return reply.type(asset.type).send(body);
  };
}

async function load({ from, adapt }: Asset): Promise<Loaded> {
  const text = 'text' in from ? Buffer.from(from.text) : await readFile(from.file);
  const body = adapt === undefined ? text : Buffer.from(adapt(text.toString('utf8')));
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 22);
  return { body, etag: `"${hash}"` };
}
