import { describe, expect, it } from 'vitest';
import { canRunEngine, ENGINES, type Engine } from './harness/brokers.ts';
import { describeKills, runKills, type Kill } from './kills.ts';

/** A few kills each; `npm run soak -- kills --kills 100` is the real thing. */
const samples: Readonly<Record<Engine, readonly Kill[]>> = {
  postgres: ['postgres', 'payments', 'gateway'],
  amqp: ['broker data'],
  redis: ['broker data', 'orders'],
};

for (const engine of ENGINES)
  describe.skipIf(!canRunEngine(`random kills on ${engine}`, engine))(`on ${engine}`, () => {
    const kills = samples[engine];
    it(`loses nothing and charges nothing twice when ${kills.join(', ')} are killed`, async () => {
      const report = await runKills({ engine, kills, meanPauseMs: 2500, ordersPerSecond: 8 });
      process.stdout.write(`${describeKills(report).join('\n')}\n`);
      expect(report.violations).toEqual([]);
      expect(report.recoveries).toHaveLength(kills.length);
      expect(report.orders).toBeGreaterThan(kills.length);
    });
  });
