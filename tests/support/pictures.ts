/** Pictures for tests: good ones, and some that nobody should decode. */
import { crc32 } from 'node:zlib';
import { Transformer } from '@napi-rs/image';

/** A picture of noise, which cannot be made small. */
export function drawn(width: number, height: number): Transformer {
  let state = 7;
  const pixels = Buffer.alloc(width * height * 4);
  for (let at = 0; at < pixels.length; at++) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    pixels[at] = at % 4 === 3 ? 255 : (state >> 16) & 255;
  }
  return Transformer.fromRgbaPixels(pixels, width, height);
}

export async function sizeOf(bytes: Buffer) {
  const { width, height, format } = await new Transformer(bytes).metadata();
  return { width, height, format };
}

/** A JPEG with segments put in behind its beginning. */
export function withSegments(
  jpeg: Buffer,
  ...segments: readonly (readonly [marker: number, content: Buffer])[]
): Buffer {
  const parts = segments.map(([marker, content]) => {
    const head = Buffer.from([0xff, marker, 0, 0]);
    head.writeUInt16BE(content.length + 2, 2);
    return Buffer.concat([head, content]);
  });
  return Buffer.concat([jpeg.subarray(0, 2), ...parts, jpeg.subarray(2)]);
}

/** An Exif block with an orientation, and some more that nobody needs to know. */
export function exif(orientation: number, more = ''): Buffer {
  const entry = [1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
  return Buffer.concat([
    Buffer.from('Exif\0\0MM\0*\0\0\0\u0008\0\u0001', 'latin1'),
    Buffer.from([...entry, 0, 0, 0, 0]),
    Buffer.from(more),
  ]);
}

/** A chunk of a PNG. */
export function chunk(name: string, content: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(content.length);
  head.write(name, 4, 'latin1');
  const tail = Buffer.alloc(4);
  tail.writeUInt32BE(crc32(Buffer.concat([head.subarray(4), content])));
  return Buffer.concat([head, content, tail]);
}

/** A PNG that claims a size and holds these bytes, whatever they are. */
export function claimedPng(
  width: number,
  height: number,
  data: Buffer,
  ...more: readonly Buffer[]
): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    ...more,
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
