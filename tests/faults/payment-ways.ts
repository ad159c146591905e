/** Two promises about single payments: how faults are tried again, and who takes over. */
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../support/waybill.ts';
import { withRun } from './harness/run.ts';
import { settle } from './harness/settle.ts';
import type { Order } from './harness/shopper.ts';

/** An order whose every charge is answered with 500, at rest. */
export function failEveryAttempt(retryDelaySeconds: number) {
  const env = {
    PAYMENT_MOCK_SUCCESS_RATE: '0',
    PAYMENT_RETRY_DELAY: String(retryDelaySeconds),
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: '1000',
  };
  return withRun({ topology: 'one', env }, async ({ cluster, shopper }) => {
    const { id } = await shopper.place({ expect: ['PAYMENT_FAILED'] });
    const order: Order = await shopper.follow(id, ['PAYMENT_FAILED']);
    return { order, ...(await settle(cluster, shopper)) };
  });
}

/**
 * Milliseconds from the death of a process in the middle of a charge until another one has settled
 * the order, round by round.
 */
export function takeOver(rounds: number) {
  return withRun({ topology: 'many', doubled: ['payments'] }, async ({ cluster, shopper }) => {
    const first = cluster.member('payments');
    const second = cluster.second('payments');
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      // The first one claims the order alone; then the second one is there, and it dies.
      await first.stop();
      await first.start('payments.charge.before=hang');
      const { id } = await shopper.place();
      await until(() => first.fired('payments.charge.before') > round, 20_000, 10);
      await second.start();
      await pause(200);
      const died = performance.now();
      await Promise.all([first.kill9(), first.stop()]);
      await shopper.follow(id, ['CONFIRMED']);
      times.push(performance.now() - died);
      await first.start();
      await second.stop();
    }
    return { times, ...(await settle(cluster, shopper)) };
  });
}
