/** Portraits of the demo's pets, drawn here from a few ellipses and polygons, as PNG. */
import { crc32, deflateSync } from 'node:zlib';

export type Animal = 'cat' | 'dog' | 'rabbit' | 'lion';
type Colour = readonly [red: number, green: number, blue: number];
type Point = readonly [x: number, y: number];
/** How far a point is outside; negative inside. */
type Distance = (x: number, y: number) => number;
interface Layer {
  readonly colour: Colour;
  readonly distance: Distance;
  /** Columns outside of which there is nothing of it; most pixels are spared most layers. */
  readonly from: number;
  readonly to: number;
}

const WIDTH = 320;
const HEIGHT = 240;
const INK: Colour = [43, 36, 32];
const WHITE: Colour = [250, 248, 244];
const PINK: Colour = [226, 140, 142];

/** A portrait: whose head it is, in which fur, before which wall. */
export function drawPortrait(animal: Animal, fur: Colour, wall: Colour): Buffer {
  const layers = [...HEADS[animal](fur), ...face(fur, animal)];
  const rows: Buffer[] = [];
  for (let y = 0; y < HEIGHT; y++) {
    // Every row of a PNG begins with the number of its filter; 0 is none.
    const row = Buffer.alloc(1 + WIDTH * 3);
    const ground = shade(wall, 1 - y / HEIGHT / 4);
    for (let x = 0; x < WIDTH; x++) {
      let [red, green, blue] = ground;
      for (const { colour, distance, from, to } of layers) {
        if (x < from || x > to) continue;
        const covered = Math.min(1, Math.max(0, 0.5 - distance(x, y)));
        red += (colour[0] - red) * covered;
        green += (colour[1] - green) * covered;
        blue += (colour[2] - blue) * covered;
      }
      row.set([red, green, blue].map(Math.round), 1 + x * 3);
    }
    rows.push(row);
  }
  return encodePng(Buffer.concat(rows));
}

const HEADS: Readonly<Record<Animal, (fur: Colour) => readonly Layer[]>> = {
  cat: (fur) => [
    ...mirrored(fur, [
      [92, 130],
      [98, 34],
      [160, 82],
    ]),
    ...mirrored(PINK, [
      [104, 112],
      [107, 58],
      [142, 84],
    ]),
    ellipse(fur, 160, 140, 82, 72),
  ],
  dog: (fur) => [
    ellipse(fur, 160, 138, 76, 80),
    ellipse(shade(fur, 0.7), 84, 128, 24, 62, 0.25),
    ellipse(shade(fur, 0.7), 236, 128, 24, 62, -0.25),
  ],
  rabbit: (fur) => [
    ellipse(fur, 128, 58, 20, 62, -0.12),
    ellipse(fur, 192, 58, 20, 62, 0.12),
    ellipse(PINK, 128, 62, 10, 46, -0.12),
    ellipse(PINK, 192, 62, 10, 46, 0.12),
    ellipse(fur, 160, 152, 70, 66),
  ],
  lion: (fur) => [
    ellipse(shade(fur, 0.58), 160, 130, 112, 106),
    ellipse(shade(fur, 0.7), 160, 134, 98, 92),
    ellipse(fur, 98, 74, 20, 20),
    ellipse(fur, 222, 74, 20, 20),
    ellipse(fur, 160, 140, 74, 70),
  ],
};

function face(fur: Colour, animal: Animal): readonly Layer[] {
  const muzzle = animal === 'dog' ? 46 : 34;
  const tall = animal === 'dog' || animal === 'rabbit' ? 11 : 13;
  const eyes = [130, 190].flatMap((x) => [
    ellipse(INK, x, 130, 10, tall),
    ellipse(WHITE, x + 3, 126, 3, 3),
  ]);
  const teeth = animal === 'rabbit' ? [ellipse(WHITE, 160, 186, 8, 10)] : [];
  return [
    ellipse(shade(fur, 1.18), 160, 172, muzzle, 28),
    ...eyes,
    ...teeth,
    ellipse(INK, 160, 178, 2.5, 10),
    ellipse(animal === 'cat' || animal === 'rabbit' ? PINK : INK, 160, 164, 13, 9),
  ];
}

function ellipse(
  colour: Colour,
  cx: number,
  cy: number,
  rx: number,
  ry: number,
  turned = 0,
): Layer {
  const [cos, sin] = [Math.cos(turned), Math.sin(turned)];
  const distance: Distance = (x, y) => {
    const [dx, dy] = [x - cx, y - cy];
    const along = (dx * cos + dy * sin) / rx;
    const across = (dy * cos - dx * sin) / ry;
    return (Math.sqrt(along * along + across * across) - 1) * Math.min(rx, ry);
  };
  const reach = Math.max(rx, ry) + 1;
  return { colour, distance, from: cx - reach, to: cx + reach };
}

/** A convex polygon, clockwise on the left, and its mirror image on the right. */
function mirrored(colour: Colour, corners: readonly Point[]): Layer[] {
  const polygon: Distance = (x, y) => {
    let farthest = Number.NEGATIVE_INFINITY;
    for (let index = 0; index < corners.length; index++) {
      const [ax, ay] = corners[index] as Point;
      const [bx, by] = corners[(index + 1) % corners.length] as Point;
      const out = (by - ay) * (x - ax) - (bx - ax) * (y - ay);
      farthest = Math.max(farthest, out / Math.hypot(bx - ax, by - ay));
    }
    return farthest;
  };
  return [
    { colour, distance: polygon, from: 0, to: WIDTH / 2 },
    { colour, distance: (x, y) => polygon(WIDTH - x, y), from: WIDTH / 2, to: WIDTH },
  ];
}

function shade([red, green, blue]: Colour, by: number): [number, number, number] {
  return [Math.min(255, red * by), Math.min(255, green * by), Math.min(255, blue * by)];
}

/** Rows of eight-bit RGB as a PNG: its header, the rows, its end. */
function encodePng(rows: Buffer): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(WIDTH);
  header.writeUInt32BE(HEIGHT, 4);
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(name: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), content]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
