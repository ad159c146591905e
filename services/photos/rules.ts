/** What a picture is, by its first bytes alone; and which part of it a request wants. */
import { Refusal } from '@waybill/kit/errors.ts';

export type Format = 'png' | 'jpeg' | 'webp';

/** What a picture's own header says of it, before anything is decoded. */
export interface Picture {
  readonly format: Format;
  readonly width: number;
  readonly height: number;
}

export interface Limits {
  readonly maxBytes: number;
  readonly maxPixels: number;
}

/** Judges an upload by its content; its name and declared type play no part. */
export function judgePicture(bytes: Buffer, { maxBytes, maxPixels }: Limits): Picture {
  if (bytes.length > maxBytes)
    throw new Refusal(413, 'photo_too_large', `A photo has at most ${maxBytes} bytes.`);
  const picture = readPng(bytes) ?? readJpeg(bytes) ?? readWebp(bytes);
  if (picture === undefined)
    throw new Refusal(415, 'unsupported_image', 'The file is no PNG, JPEG or WebP picture.');
  const { width, height } = picture;
  if (width === 0 || height === 0) throw undecodable();
  if (width * height > maxPixels)
    throw new Refusal(
      413,
      'photo_too_large',
      `A photo has at most ${maxPixels} pixels; this one has ${width} × ${height}.`,
    );
  return picture;
}

/** For what begins like a picture, and is none. */
export function undecodable(): Refusal {
  return new Refusal(422, 'invalid_image', 'The picture cannot be decoded.');
}

const PNG = Buffer.from('89504e470d0a1a0a', 'hex');

function readPng(bytes: Buffer): Picture | undefined {
  if (bytes.length < 24 || !bytes.subarray(0, 8).equals(PNG)) return undefined;
  // The standard has IHDR come first; what begins otherwise is not decoded.
  if (bytes.toString('latin1', 12, 16) !== 'IHDR') throw undecodable();
  return { format: 'png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}

/** Markers of frames, which tell a size: SOF0 to SOF15, but for DHT, JPG and DAC among them. */
function beginsFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

const START_OF_SCAN = 0xda;

/** The largest of all sizes before the first scan: decoders differ in which of them counts. */
function readJpeg(bytes: Buffer): Picture | undefined {
  if (bytes.length < 4 || bytes.readUIntBE(0, 3) !== 0xff_d8_ff) return undefined;
  let [width, height] = [0, 0];
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) throw undecodable();
    const marker = bytes[at + 1] ?? 0;
    // Fill bytes, and markers that stand alone.
    if (marker === 0xff) at++;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else if (marker === START_OF_SCAN) return { format: 'jpeg', width, height };
    else {
      if (beginsFrame(marker) && at + 9 <= bytes.length) {
        height = Math.max(height, bytes.readUInt16BE(at + 5));
        width = Math.max(width, bytes.readUInt16BE(at + 7));
      }
      at += 2 + Math.max(2, bytes.readUInt16BE(at + 2));
    }
  }
  throw undecodable();
}

/** The canvas, and every frame that stands in the file itself, whichever is larger. */
function readWebp(bytes: Buffer): Picture | undefined {
  if (bytes.length < 20) return undefined;
  if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WEBP')
    return undefined;
  let [width, height] = [0, 0];
  for (let at = 12; at + 18 <= bytes.length;) {
    const name = bytes.toString('latin1', at, at + 4);
    if (name === 'ANIM' || name === 'ANMF') throw undecodable();
    const size = sizeOfChunk(bytes, name, at + 8);
    if (size !== undefined) {
      width = Math.max(width, size[0]);
      height = Math.max(height, size[1]);
    }
    const length = bytes.readUInt32LE(at + 4);
    at += 8 + length + (length % 2);
  }
  return { format: 'webp', width, height };
}

function sizeOfChunk(bytes: Buffer, name: string, at: number): [number, number] | undefined {
  if (name === 'VP8X') return [bytes.readUIntLE(at + 4, 3) + 1, bytes.readUIntLE(at + 7, 3) + 1];
  if (name === 'VP8 ')
    return [bytes.readUInt16LE(at + 6) & 0x3f_ff, bytes.readUInt16LE(at + 8) & 0x3f_ff];
  if (name !== 'VP8L') return undefined;
  const packed = bytes.readUInt32LE(at + 1);
  return [(packed & 0x3f_ff) + 1, ((packed >>> 14) & 0x3f_ff) + 1];
}

/** Bytes from `start` to before `end`. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

/**
 * The part that a Range header asks for; undefined when all is to be sent: without one, with one
 * that is malformed, and with one that names several parts (RFC 9110, 14.2).
 */
export function partOf(header: string | undefined, size: number): Part | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  if (first !== '' && last !== '' && Number(last) < start) return undefined;
  if (start >= size || (first === '' && Number(last) === 0))
    throw new Refusal(416, 'range_not_satisfiable', `The photo has ${size} bytes.`, {
      headers: { 'content-range': `bytes */${size}` },
    });
  return { start, end };
}

/** Whether an If-None-Match header names this tag. */
export function matchesTag(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  const given = header.split(',').map((one) => one.trim().replace(/^W\//, ''));
  return given.includes('*') || given.includes(tag);
}
