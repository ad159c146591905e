import { randomInt, randomUUID } from 'node:crypto';

/** Draws numbers from [0, 1). */
export type Draw = () => number;

/** A small seeded generator (sfc32): the same seed gives the same sequence on every machine. */
export function createDraw(seed: number, stream: number): Draw {
  let a = 0x9e3779b9 ^ stream;
  let b = 0x243f6a88;
  let c = seed | 0;
  let counter = 1;
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 4294967296;
  };
  // The first outputs of sfc32 still show the seed; a dozen rounds mix it in.
  for (let round = 0; round < 12; round += 1) next();
  return next;
}

/** A seed for when none was given; it is shown by GET /control, so that a run can be repeated. */
export function chooseSeed(): number {
  return randomInt(0, 2 ** 31);
}

/** A port below the range from which systems lend ports to clients, so that none is lost to one. */
export function choosePort(): number {
  return randomInt(20_000, 30_000);
}

export function createId(prefix: 'ch' | 're' | 'evt'): string {
  return `${prefix}_${randomUUID().replaceAll('-', '')}`;
}
