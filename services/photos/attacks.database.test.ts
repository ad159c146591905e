/** What strangers upload (F01 to F04): nothing of it may run, grow, wander or stay. */
import { connect } from 'node:net';
import { deflateSync } from 'node:zlib';
import { Transformer } from '@napi-rs/image';
import { beforeAll, describe, expect, test } from 'vitest';
import { startGallery, type Gallery } from '../../tests/support/photos.ts';
import {
  chunk,
  claimedPng,
  drawn,
  exif,
  sizeOf,
  withSegments,
} from '../../tests/support/pictures.ts';
import { operator, someone } from '../../tests/support/service.ts';

let gallery: Gallery;

beforeAll(async () => {
  gallery = await startGallery({ PHOTO_QUOTA_COUNT: '40', PHOTO_MAX_BYTES: '3000000' });
});

describe('F01 no name decides where a photo lies', () => {
  test.each([
    '../../../../tmp/x',
    '/etc/passwd',
    'CON',
    'a'.repeat(1000),
    '..\u2215..\u2215x',
    'x\u202egpj.exe',
    '..\\..\\x',
  ])('%j', async (name) => {
    const answer = await gallery.upload(await gallery.pet(), await drawn(5, 5).png(), {
      query: `?additionalMetadata=${encodeURIComponent(name)}`,
      headers: { 'content-disposition': `attachment; filename="${encodeURIComponent(name)}"` },
    });
    expect(answer.status).toBe(200);
    const key = /^[\da-f]{2}\/[\da-f-]{36}(\.thumbnail)?\.webp$/;
    for (const file of gallery.files()) expect(file.slice(gallery.folder.length + 1)).toMatch(key);
  });

  test('a NUL is refused', async () => {
    const answer = await gallery.upload(await gallery.pet(), await drawn(5, 5).png(), {
      query: '?additionalMetadata=a%00b',
    });
    expect(answer.status).toBe(422);
  });
});

describe('F02 what is no picture is not kept, and a picture keeps nothing but its pixels', () => {
  test.each([
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'],
    ['HTML', '<!doctype html><script>alert(1)</script>'],
    ['GIF and script', 'GIF89a/*'.concat('x'.repeat(40), '*/=alert(1)')],
    ['PDF', '%PDF-1.7 '.concat('x'.repeat(40))],
    ['ZIP', 'PK\u0003\u0004'.concat('x'.repeat(40))],
  ])('%s', async (_name, text) => {
    const before = gallery.files().length;
    const id = await gallery.pet();
    expect(await gallery.upload(id, Buffer.from(text))).toMatchObject({
      status: 415,
      body: { code: 'unsupported_image' },
    });
    expect((await gallery.running.call('GET', `/api/v3/pet/${id}`)).body['photoUrls']).toEqual([]);
    expect(gallery.files()).toHaveLength(before);
  });

  test('a picture cut short, or followed by nonsense where pixels should be', async () => {
    for (const make of [() => drawn(60, 60).png(), () => drawn(60, 60).webpLossless()]) {
      const whole = await make();
      const short = whole.subarray(0, whole.length / 2);
      const spoilt = Buffer.concat([whole.subarray(0, 60), Buffer.alloc(whole.length)]);
      for (const bytes of [short, spoilt])
        expect(await gallery.upload(await gallery.pet(), bytes)).toMatchObject({
          status: 422,
          body: { code: 'invalid_image' },
        });
    }
  });

  test('the place where it was taken, its comments and a second file in it are gone', async () => {
    const secrets = ['GPSLatitude 52.5200', '<script>alert(1)</script>', 'PK\u0003\u0004secret'];
    const [gps = '', script = '', zip = ''] = secrets;
    const told = withSegments(
      await drawn(60, 40).jpeg(),
      [0xe1, exif(1, gps)],
      [0xfe, Buffer.from(script)],
    );
    const polyglot = Buffer.concat([told, Buffer.from(script + zip)]);
    for (const secret of secrets) expect(polyglot.includes(secret)).toBe(true);
    const address = await gallery.uploaded(polyglot);
    for (const path of [address, `${address}/thumbnail`]) {
      const { bytes, headers } = await gallery.fetched(path);
      for (const secret of [...secrets, 'Exif', 'GPS', 'script'])
        expect(bytes.includes(secret)).toBe(false);
      expect((await new Transformer(bytes).metadata(true)).exif).toBeUndefined();
      expect(headers.get('content-type')).toBe('image/webp');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-disposition')).toMatch(
        /^attachment; filename="[\da-f-]+\.webp"$/,
      );
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    }
  });

  test('what its camera said of its sides is done before it is forgotten', async () => {
    const turned = withSegments(await drawn(60, 40).jpeg(), [0xe1, exif(6)]);
    const { bytes } = await gallery.fetched(await gallery.uploaded(turned));
    expect(await sizeOf(bytes)).toMatchObject({ width: 40, height: 60 });
  });
});

describe('F03 nothing that is small here is large inside', () => {
  test('50,000 × 50,000 pixels are refused before they are decoded', async () => {
    const before = process.memoryUsage().rss;
    const bytes = claimedPng(50_000, 50_000, deflateSync(Buffer.alloc(1_000_000)));
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => gallery.upload(await gallery.pet(), bytes)),
    );
    for (const { status, body } of answers)
      expect([status, body['code']]).toEqual([413, 'photo_too_large']);
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000);
  });

  test('data and texts that swell far beyond the pixels are not unpacked', async () => {
    const swelling = deflateSync(Buffer.alloc(200_000_000));
    const text = Buffer.concat([Buffer.from('Comment\0\0'), swelling]);
    const before = process.memoryUsage().rss;
    for (const bytes of [
      claimedPng(10, 10, swelling),
      claimedPng(10, 10, deflateSync(Buffer.alloc(310)), chunk('zTXt', text), chunk('iCCP', text)),
    ])
      expect([200, 422]).toContain((await gallery.upload(await gallery.pet(), bytes)).status);
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000);
  });

  test('more bytes than are taken are refused', async () => {
    expect(await gallery.upload(await gallery.pet(), Buffer.alloc(3_000_001))).toMatchObject({
      status: 413,
      body: { code: 'photo_too_large' },
    });
    expect(
      await gallery.upload(await gallery.pet(), Buffer.alloc(10 * 1024 * 1024 + 1)),
    ).toMatchObject({
      status: 413,
      body: { code: 'body_too_large' },
    });
  });

  test('an upload that stops half-way leaves nothing', async () => {
    const id = await gallery.pet();
    const before = gallery.files().length;
    const signed = gallery.running.sign(operator, 'pets');
    const sockets = Array.from({ length: 5 }, () => {
      const socket = connect(gallery.running.process.port, '127.0.0.1');
      socket.write(
        `POST /api/v3/pet/${id}/uploadImage HTTP/1.1\r\nhost: 127.0.0.1\r\n` +
          `waybill-identity: ${signed}\r\ncontent-type: application/octet-stream\r\n` +
          'content-length: 100000\r\n\r\n',
      );
      socket.write(claimedPng(10, 10, Buffer.alloc(5000)));
      return socket;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(gallery.files()).toHaveLength(before);
    expect((await gallery.running.call('GET', `/api/v3/pet/${id}`)).body['photoUrls']).toEqual([]);
  });
});

describe('F04 a caller has a quota', () => {
  test('of photos, which not even many at once exceed', async () => {
    const options = { as: someone('greedy', 'operator') };
    const bytes = await drawn(2, 2).png();
    const id = await gallery.pet();
    const before = gallery.files().length;
    const answers = await Promise.all(
      Array.from({ length: 32 }, () => gallery.upload(id, bytes, { options })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 32 }, () => 200));
    const more = await Promise.all(
      Array.from({ length: 20 }, () => gallery.upload(id, bytes, { options })),
    );
    expect(more.filter(({ status }) => status === 200)).toHaveLength(8);
    for (const { status, body } of more)
      if (status !== 200) expect([status, body['code']]).toEqual([413, 'photo_quota_exceeded']);
    expect(gallery.files()).toHaveLength(before + 80);
    expect(await gallery.rows(`select photos from photos.owners where owner = 'greedy'`)).toEqual([
      { photos: 40 },
    ]);
    // It is theirs alone.
    expect(
      (await gallery.upload(id, bytes, { options: { as: someone('modest', 'operator') } })).status,
    ).toBe(200);
  });
});
