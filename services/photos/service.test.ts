/** Photos through the routes of pets and their own: kept, shown, cached, swept. */
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { pets } from '@waybill/pets/index.ts';
import { startGallery, type Gallery } from '../../tests/support/photos.ts';
import { drawn, sizeOf } from '../../tests/support/pictures.ts';
import { startServices } from '../../tests/support/service.ts';
import { until } from '../../tests/support/waybill.ts';
import { photos } from './index.ts';

let gallery: Gallery;

beforeAll(async () => {
  gallery = await startGallery();
});

describe('a photo', () => {
  test.each([
    ['png', () => drawn(300, 200).png()],
    ['jpeg', () => drawn(300, 200).jpeg()],
    ['webp', () => drawn(300, 200).webp()],
  ])('that came as %s is kept, shown and small too', async (_format, make) => {
    const id = await gallery.pet();
    const { body } = await gallery.upload(id, await make());
    const address = String(body['message']);
    expect((await gallery.running.call('GET', `/api/v3/pet/${id}`)).body['photoUrls']).toEqual([
      address,
    ]);
    const whole = await gallery.fetched(address);
    expect([whole.status, await sizeOf(whole.bytes)]).toEqual([
      200,
      { width: 300, height: 200, format: 'webp' },
    ]);
    const small = await gallery.fetched(`${address}/thumbnail`);
    expect(await sizeOf(small.bytes)).toEqual({ width: 256, height: 171, format: 'webp' });
  });

  test('is made no larger than 2048 pixels, and no picture is blown up', async () => {
    const wide = await gallery.fetched(await gallery.uploaded(await drawn(3000, 150).jpeg()));
    expect(await sizeOf(wide.bytes)).toMatchObject({ width: 2048, height: 102 });
    const tiny = await gallery.uploaded(await drawn(3, 2).png());
    for (const path of [tiny, `${tiny}/thumbnail`])
      expect(await sizeOf((await gallery.fetched(path)).bytes)).toMatchObject({
        width: 3,
        height: 2,
      });
  });

  test('is cached for ever, and not sent again to whoever has it', async () => {
    const address = await gallery.uploaded(await drawn(20, 20).png());
    const first = await gallery.fetched(address);
    const tag = String(first.headers.get('etag'));
    expect(tag).toMatch(/^"[\w-]{43}"$/);
    expect(first.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    const again = await gallery.fetched(address, { 'if-none-match': tag });
    expect([again.status, again.bytes.length, again.headers.get('etag')]).toEqual([304, 0, tag]);
    expect((await gallery.fetched(address, { 'if-none-match': '"x"' })).status).toBe(200);
    const small = await gallery.fetched(`${address}/thumbnail`);
    expect(small.headers.get('etag')).not.toBe(tag);
    const head = await gallery.fetched(address, {}, 'HEAD');
    expect([head.status, head.bytes.length]).toEqual([200, 0]);
    expect(head.headers.get('content-length')).toBe(String(first.bytes.length));
  });

  test('is sent in parts', async () => {
    const address = await gallery.uploaded(await drawn(40, 40).png());
    const { bytes } = await gallery.fetched(address);
    const total = bytes.length;
    for (const [range, from, to] of [
      ['bytes=0-9', 0, 10],
      ['bytes=10-', 10, total],
      ['bytes=-7', total - 7, total],
    ] as const) {
      const part = await gallery.fetched(address, { range });
      expect(part.status).toBe(206);
      expect(part.bytes).toEqual(bytes.subarray(from, to));
      expect(part.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/${total}`);
    }
    const beyond = await gallery.fetched(address, { range: `bytes=${total}-` });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${total}`]);
    expect((await gallery.fetched(address, { range: 'bytes=0-1,4-5' })).bytes).toEqual(bytes);
  });

  test('that is not there is 404, and an id that is none 400', async () => {
    expect((await gallery.fetched(`/api/v1/photos/${newId()}`)).status).toBe(404);
    for (const id of ['1', 'x.webp', '..%2f..%2fsecret', '%2e%2e', newId().toUpperCase()])
      expect([400, 404]).toContain((await gallery.fetched(`/api/v1/photos/${id}`)).status);
  });
});

describe('an upload', () => {
  test('without bytes, to no pet, or of another type is refused', async () => {
    const id = await gallery.pet();
    expect(await gallery.upload(id, Buffer.alloc(0))).toMatchObject({
      status: 400,
      body: { code: 'no_file' },
    });
    const empty = await gallery.running.call('POST', `/api/v3/pet/${id}/uploadImage`);
    expect(empty.body).toMatchObject({ code: 'no_file' });
    const png = await drawn(2, 2).png();
    expect((await gallery.upload(99, png)).body).toMatchObject({ code: 'pet_not_found' });
    const json = await gallery.upload(id, png, { headers: { 'content-type': 'application/json' } });
    expect(json.status).toBe(415);
  });

  test('that is repeated with its key is one photo of the pet', async () => {
    const id = await gallery.pet();
    const png = await drawn(9, 9).png();
    const headers = { 'idempotency-key': newId() };
    const answers = await Promise.all([1, 2, 3].map(() => gallery.upload(id, png, { headers })));
    const again = await gallery.upload(id, png, { headers });
    expect(again.headers['idempotent-replayed']).toBe('true');
    for (const { body } of answers) expect(body).toEqual(again.body);
    const { body } = await gallery.running.call('GET', `/api/v3/pet/${id}`);
    expect(body['photoUrls']).toEqual([again.body['message']]);
    const other = await gallery.upload(id, await drawn(8, 8).png(), { headers });
    expect(other.body).toMatchObject({ code: 'idempotency_key_reused' });
    const told = await gallery.upload(id, png, { query: '?additionalMetadata=x', headers });
    expect(told.body).toMatchObject({ code: 'idempotency_key_reused' });
  });

  test('reaches photos in a process of their own', async () => {
    const apart = await startServices([photos], {
      DATABASE_URL: gallery.running.databaseUrl,
      DATA_DIR: gallery.dataDir,
    });
    const front = await startServices([pets], {
      DATABASE_URL: gallery.running.databaseUrl,
      DATA_DIR: gallery.dataDir,
      DISCOVERY_URL: `static:photos=${apart.process.url}`,
    });
    const answer = await gallery.upload(await gallery.pet(), await drawn(30, 30).png(), {
      by: front,
    });
    expect(answer.status).toBe(200);
    expect((await gallery.fetched(String(answer.body['message']))).status).toBe(200);
    const refused = await gallery.upload(await gallery.pet(), Buffer.from('<svg/>'), { by: front });
    expect(refused).toMatchObject({ status: 415, body: { code: 'unsupported_image' } });
    await Promise.all([front.stop(), apart.stop()]);
  });
});

describe('upkeep', () => {
  /** Another process, which sweeps as it starts. */
  async function sweep(): Promise<void> {
    await gallery.rows("delete from photos.leases where name like 'sweep %'");
    await gallery.restart();
  }

  /** Two hours pass for everything that is there. */
  async function age(): Promise<void> {
    await gallery.rows(
      `update photos.photos set created_at = created_at - interval '2 hours',
         unshown_since = unshown_since - interval '2 hours'`,
    );
    for (const file of gallery.files()) utimesSync(file, 0, 0);
  }

  async function shownPhoto() {
    const pet = await gallery.pet();
    const { body } = await gallery.upload(pet, await drawn(9, 9).png());
    const address = String(body['message']);
    await until(async () => (await stateOf(address))?.['shown'] === true);
    return { pet, address };
  }

  const idOf = (address: string) => address.split('/').at(-1);
  const fileOf = (address: string) =>
    gallery.files().find((file) => file.endsWith(`${idOf(address)}.webp`)) ?? '';

  async function stateOf(address: string) {
    const [row] = await gallery.rows(
      `select unshown_since is null as shown, lost_at is not null as lost from photos.photos
       where id = $1`,
      [idOf(address)],
    );
    return row;
  }

  test('deletes photos that no pet shows any more, and gives their owner the room', async () => {
    const [kept, borrowed, gone] = [await shownPhoto(), await shownPhoto(), await shownPhoto()];
    await gallery.running.call('POST', '/api/v3/pet', {
      body: { name: 'Max', photoUrls: [borrowed.address] },
    });
    for (const { pet } of [borrowed, gone])
      await gallery.running.call('DELETE', `/api/v3/pet/${pet}`);
    const albumOf = (pet: number) =>
      gallery.rows('select 1 from photos.photo_urls where pet_id = $1', [pet]);
    await until(async () => (await albumOf(borrowed.pet)).length === 0);
    await until(async () => (await stateOf(gone.address))?.['shown'] === false);
    await age();
    const young = await shownPhoto();
    await gallery.running.call('DELETE', `/api/v3/pet/${young.pet}`);
    await until(async () => (await stateOf(young.address))?.['shown'] === false);
    await sweep();
    await until(async () => (await gallery.fetched(gone.address)).status === 404);
    await until(async () => fileOf(gone.address) === '');
    for (const { address } of [kept, borrowed])
      expect(await stateOf(address)).toEqual({ shown: true, lost: false });
    for (const { address } of [kept, borrowed, young])
      expect((await gallery.fetched(address)).status).toBe(200);
    const [counted] = await gallery.rows(
      `select (select count(*) from photos.photos) as photos,
         (select sum(photos) from photos.owners) as owned,
         (select sum(bytes) from photos.photos) as bytes,
         (select sum(bytes) from photos.owners) as charged`,
    );
    expect(counted?.['photos']).toBe(counted?.['owned']);
    expect(counted?.['bytes']).toBe(counted?.['charged']);
  });

  test('deletes files without a photo, and those of uploads that were interrupted', async () => {
    const { address } = await shownPhoto();
    const stray = join(gallery.folder, '00', `${newId().slice(0, -2)}00.webp`);
    const unfinished = join(gallery.folder, 'begun', 'half');
    const write = (file: string) => {
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, readFileSync(fileOf(address)));
    };
    write(stray);
    write(unfinished);
    await age();
    // What is young may be an upload under way.
    const young = [join(gallery.folder, 'begun', 'young'), `${stray.slice(0, -7)}ff00.webp`];
    for (const file of young) write(file);
    await sweep();
    await until(async () => {
      const files = gallery.files();
      return !files.includes(stray) && !files.includes(unfinished);
    });
    expect(gallery.files()).toEqual(expect.arrayContaining(young));
    expect((await gallery.fetched(address)).status).toBe(200);
  });

  test('notes of a photo that its file is gone', async () => {
    const [lost, kept] = [await shownPhoto(), await shownPhoto()];
    rmSync(fileOf(lost.address));
    expect((await gallery.fetched(lost.address)).status).toBe(404);
    await age();
    await sweep();
    await until(async () => (await stateOf(lost.address))?.['lost'] === true);
    expect((await gallery.fetched(lost.address)).status).toBe(404);
    expect(await stateOf(kept.address)).toEqual({ shown: true, lost: false });
  });
});
