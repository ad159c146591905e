import { describe, expect, test } from 'vitest';
import { Refusal } from '@waybill/kit/errors.ts';
import { judgePicture, matchesTag, partOf } from './rules.ts';

const limits = { maxBytes: 1000, maxPixels: 10_000 };

function judge(bytes: Buffer | string): unknown {
  return outcome(() => judgePicture(Buffer.from(bytes as string), limits));
}

function outcome(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    if (error instanceof Refusal) return `${error.status} ${error.code}`;
    throw error;
  }
}

const u16 = (value: number) => [value >> 8, value & 255];
const little = (value: number, bytes: number) =>
  Array.from({ length: bytes }, (_, index) => Math.floor(value / 256 ** index) % 256);

function png(width: number, height: number, name = 'IHDR'): Buffer {
  const head = Buffer.alloc(33);
  Buffer.from('89504e470d0a1a0a0000000d', 'hex').copy(head);
  head.write(name, 12, 'latin1');
  head.writeUInt32BE(width, 16);
  head.writeUInt32BE(height, 20);
  return head;
}

type Bytes = readonly number[];
const segment = (marker: number, content: Bytes): Bytes => [
  0xff,
  marker,
  ...u16(content.length + 2),
  ...content,
];
const frame = (marker: number, width: number, height: number) =>
  segment(marker, [8, ...u16(height), ...u16(width), 3]);
const scan = segment(0xda, [1, 2, 3]);
const jpeg = (...segments: readonly Bytes[]) => Buffer.from([0xff, 0xd8, ...segments.flat()]);

const chunk = (name: string, content: Bytes): Bytes => [
  ...Buffer.from(name),
  ...little(content.length, 4),
  ...content,
  ...(content.length % 2 === 0 ? [] : [0]),
];
const webp = (...chunks: readonly Bytes[]) => {
  const body = Buffer.from([...Buffer.from('WEBP'), ...chunks.flat()]);
  return Buffer.concat([Buffer.from('RIFF'), Buffer.from(little(body.length, 4)), body]);
};
const canvas = (width: number, height: number) =>
  chunk('VP8X', [0, 0, 0, 0, ...little(width - 1, 3), ...little(height - 1, 3)]);
const lossy = (width: number, height: number) =>
  chunk('VP8 ', [0, 0, 0, 0x9d, 1, 0x2a, ...little(width, 2), ...little(height, 2)]);
const lossless = (width: number, height: number) =>
  chunk('VP8L', [0x2f, ...little(width - 1 + (height - 1) * 16_384, 4), 0, 0, 0, 0, 0]);

describe('a picture is known by its first bytes, and as large as its header says', () => {
  test.each([
    ['png', png(30, 20)],
    ['jpeg', jpeg(segment(0xe0, [1, 2]), frame(0xc0, 30, 20), scan)],
    ['jpeg', jpeg([0xff], [0xff, 0x01], frame(0xc2, 30, 20), segment(0xc4, [9]), scan)],
    ['webp', webp(lossy(30, 20))],
    ['webp', webp(lossless(30, 20))],
    ['webp', webp(canvas(30, 20), chunk('ICCP', [1]), lossy(30, 20))],
  ])('%s', (format, bytes) => {
    expect(judge(bytes)).toEqual({ format, width: 30, height: 20 });
  });

  test.each([
    ['nothing', ''],
    ['a text', 'hello'],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'],
    ['HTML', '<!doctype html><script>alert(1)</script>'],
    ['GIF', 'GIF89a/*<script>*/=1;'],
    ['PDF', '%PDF-1.7'],
    ['ZIP', 'PK\u0003\u0004'],
    ['most of a PNG signature', png(30, 20).subarray(0, 7)],
    ['RIFF that is no WebP', 'RIFF____AVI LIST_________'],
  ])('%s is none', (_name, bytes) => {
    expect(judge(bytes)).toBe('415 unsupported_image');
  });
});

describe('before anything is decoded', () => {
  test.each([
    ['PNG', png(50_000, 50_000)],
    ['PNG', png(2 ** 32 - 1, 2 ** 32 - 1)],
    ['PNG', png(10_001, 1)],
    ['JPEG', jpeg(frame(0xc0, 65_500, 65_500), scan)],
    ['JPEG with a second size', jpeg(frame(0xc0, 1, 1), frame(0xc1, 65_500, 65_500), scan)],
    ['WebP', webp(lossless(16_384, 16_384))],
    ['WebP with a larger frame', webp(canvas(1, 1), lossy(16_383, 16_383))],
    ['WebP with a larger canvas', webp(canvas(16_777_216, 16_777_216), lossy(1, 1))],
  ])('a %s of too many pixels is refused', (_name, bytes) => {
    expect(judge(bytes)).toBe('413 photo_too_large');
  });

  test('a file of too many bytes is refused, whatever it is', () => {
    expect(judge(Buffer.alloc(1001))).toBe('413 photo_too_large');
    expect(judge(Buffer.concat([png(1, 1), Buffer.alloc(1000)]))).toBe('413 photo_too_large');
  });

  test.each([
    ['PNG that does not begin with its header', png(30, 20, 'tEXt')],
    ['PNG without pixels', png(0, 20)],
    ['JPEG without a scan', jpeg(frame(0xc0, 30, 20))],
    ['JPEG without a frame', jpeg(scan)],
    ['JPEG with noise between segments', jpeg(frame(0xc0, 30, 20), [7, 7, 7, 7], scan)],
    ['JPEG whose segment has no length', jpeg([0xff, 0xe0, 0, 0], [0xff, 0xe0, 0, 0])],
    [
      'WebP without a frame',
      webp(
        chunk(
          'XMP ',
          Array.from({ length: 20 }, () => 0),
        ),
      ),
    ],
    ['WebP that moves', webp(canvas(30, 20), chunk('ANIM', [0, 0, 0, 0, 0, 0]), lossy(30, 20))],
  ])('a %s is refused', (_name, bytes) => {
    expect(judge(bytes)).toBe('422 invalid_image');
  });

  test('no header makes the look at it long or wrong', () => {
    for (const whole of [
      png(30, 20),
      jpeg(segment(0xe0, [1, 2]), frame(0xc0, 30, 20), scan),
      webp(canvas(30, 20), lossless(30, 20)),
    ])
      for (let length = 0; length < whole.length; length++)
        for (const byte of [0, 1, 0x7f, 0xff]) {
          const spoilt = Buffer.from(whole);
          spoilt[length] = byte;
          for (const bytes of [whole.subarray(0, length), spoilt])
            expect(['string', 'object']).toContain(typeof judge(Buffer.from(bytes)));
        }
  });
});

describe('the part that a range asks for', () => {
  test.each([
    ['bytes=0-9', { start: 0, end: 10 }],
    ['bytes=10-', { start: 10, end: 100 }],
    ['bytes=-10', { start: 90, end: 100 }],
    ['bytes=-1000', { start: 0, end: 100 }],
    ['bytes=99-1000', { start: 99, end: 100 }],
    [undefined, undefined],
    ['bytes=9-0', undefined],
    ['bytes=-', undefined],
    ['bytes=0-1,5-6', undefined],
    ['items=0-1', undefined],
    ['bytes=a-b', undefined],
    ['bytes=100-', '416 range_not_satisfiable'],
    ['bytes=-0', '416 range_not_satisfiable'],
    ['bytes=999999999999999-', '416 range_not_satisfiable'],
  ])('%s', (header, part) => {
    expect(outcome(() => partOf(header, 100))).toEqual(part);
  });
});

test.each([
  [undefined, false],
  ['"a"', true],
  ['W/"a"', true],
  ['"b", "a"', true],
  ['*', true],
  ['"b"', false],
  ['a', false],
])('If-None-Match %s', (header, matches) => {
  expect(matchesTag(header, '"a"')).toBe(matches);
});
