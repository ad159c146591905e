/** Ports for processes that may be away for minutes and must find their port free again. */
import { createServer } from 'node:net';

/** Below the range that the system hands out, and above the one that other tests choose from. */
const LANE = Number(process.env['VITEST_POOL_ID'] ?? '1') % 4;
const LANE_PORTS = 675;
const FIRST = 30_000 + LANE * LANE_PORTS;
const LAST = FIRST + LANE_PORTS;
const given = new Set<number>();

export async function reservePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (given.has(port)) continue;
    const free = await new Promise<boolean>((done) => {
      const probe = createServer();
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (!free) continue;
    given.add(port);
    return port;
  }
}
