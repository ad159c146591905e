/** Pets and photos in the test's own process, with the folder where photos lie. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { pets } from '@waybill/pets/index.ts';
import { photos } from '@waybill/photos/index.ts';
import { createTestDatabase, queryRows } from './database.ts';
import { operator, startServices, type Answer, type CallOptions, type Running } from './service.ts';

export interface Sending {
  readonly query?: string;
  readonly options?: CallOptions;
  readonly headers?: Record<string, string>;
  readonly by?: Running;
}

export interface Fetched {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
}

export interface Gallery {
  readonly dataDir: string;
  /** Below it lie the photos. */
  readonly folder: string;
  running: Running;
  /** Starts both services anew, on the same data. */
  restart(environment?: Record<string, string>): Promise<void>;
  /** A new pet without photos. */
  pet(): Promise<number>;
  upload(id: number, bytes: Buffer, sending?: Sending): Promise<Answer>;
  /** Uploads for a new pet; the photo's address. */
  uploaded(bytes: Buffer): Promise<string>;
  /** What anybody gets at an address. */
  fetched(path: string, headers?: Record<string, string>, method?: string): Promise<Fetched>;
  files(): string[];
  rows(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
}

/** Starts both; they and their folder end with the file. */
export async function startGallery(environment: Record<string, string> = {}): Promise<Gallery> {
  const dataDir = mkdtempSync(join(tmpdir(), 'waybill-photos-'));
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));
  const databaseUrl = await createTestDatabase();
  const start = (more: Record<string, string>) =>
    startServices([pets, photos], { DATABASE_URL: databaseUrl, DATA_DIR: dataDir, ...more });
  const folder = join(dataDir, 'photos');
  const gallery: Gallery = {
    dataDir,
    folder,
    running: await start(environment),
    async restart(more = {}) {
      await gallery.running.stop();
      gallery.running = await start(more);
    },
    async pet() {
      const body = { name: 'Rex', photoUrls: [] };
      return Number((await gallery.running.call('POST', '/api/v3/pet', { body })).body['id']);
    },
    upload(id, bytes, { query = '', options, headers = {}, by = gallery.running } = {}) {
      return by.call('POST', `/api/v3/pet/${id}/uploadImage${query}`, {
        as: operator,
        ...options,
        raw: bytes,
        headers: { 'content-type': 'application/octet-stream', ...headers },
      });
    },
    async uploaded(bytes) {
      const answer = await gallery.upload(await gallery.pet(), bytes);
      expect(answer).toMatchObject({ status: 200, body: { code: 200, type: 'image/webp' } });
      return String(answer.body['message']);
    },
    async fetched(path, headers = {}, method = 'GET') {
      const reply = await fetch(gallery.running.process.url + path, { headers, method });
      const bytes = Buffer.from(await reply.arrayBuffer());
      return { status: reply.status, headers: reply.headers, bytes };
    },
    files: () =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
    rows: (text, values = []) => queryRows(databaseUrl, text, values),
  };
  return gallery;
}
