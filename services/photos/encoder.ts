/**
 * Pictures as they are kept: decoded, turned upright, made no larger than needed, encoded anew.
 * Nothing survives that is not a pixel: no place where it was taken, no second file inside.
 */
import { ResizeFit, Transformer } from '@napi-rs/image';
import { Outage } from '@waybill/kit/errors.ts';
import { undecodable, type Picture } from './rules.ts';

const PHOTO_EDGE = 2048;
const THUMBNAIL_EDGE = 256;
const QUALITY = 82;

/** Decoding is all memory and computing: two at once, and not too many that wait. */
const AT_ONCE = 2;
const MAX_WAITING = 32;

export interface Encoded {
  readonly photo: Buffer;
  readonly thumbnail: Buffer;
  readonly width: number;
  readonly height: number;
}

export type Encoder = (bytes: Buffer, picture: Picture) => Promise<Encoded>;

/** The encoder of one process. */
export function createEncoder(): Encoder {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (bytes, picture) => {
    if (running >= AT_ONCE) {
      if (waiting.length >= MAX_WAITING) throw new Outage('photo encoder', 'too many photos wait');
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running++;
    try {
      return await encode(bytes, picture);
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

async function encode(bytes: Buffer, { width, height }: Picture): Promise<Encoded> {
  try {
    const upright = new Transformer(bytes).rotate();
    const photo = await within(upright, Math.max(width, height), PHOTO_EDGE).webp(QUALITY);
    const kept = await new Transformer(photo).metadata();
    const edge = Math.max(kept.width, kept.height);
    const thumbnail = await within(new Transformer(photo), edge, THUMBNAIL_EDGE).webp(QUALITY);
    return { photo, thumbnail, width: kept.width, height: kept.height };
  } catch {
    // Whatever the decoder has to say is about bytes that a stranger sent.
    throw undecodable();
  }
}

/** No picture is made larger than it is. */
function within(picture: Transformer, edge: number, most: number): Transformer {
  if (edge <= most) return picture;
  return picture.fastResize({ width: most, height: most, fit: ResizeFit.Inside });
}
