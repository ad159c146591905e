/** `waybill demo`: orders against a running Waybill, live, also carried by a fleet; or pets. */
import { monotonicMs } from '@waybill/kit/clock.ts';
import { nobodyThere, openApi, type Api } from '../api.ts';
import { followOrders, placeOrders } from '../demo/customers.ts';
import { newFigures, openOrders } from '../demo/figures.ts';
import { driveFleet, fleetShown, newFleetFigures, renderFleet } from '../demo/fleet.ts';
import { loadPetstore } from '../demo/petstore.ts';
import { renderSummary, show, showProgress } from '../demo/show.ts';
import { ownUrl } from '../platform.ts';

export interface DemoOptions {
  readonly orders: number;
  readonly rate?: number;
  readonly concurrency: number;
  readonly timeout: number;
  /** This folder's Waybill when left out. */
  readonly url?: string;
  readonly token?: string;
  /** Loads the petstore's demo data instead. */
  readonly petstore?: boolean;
  /** How many executors carry the orders; nobody does when left out. */
  readonly fleet?: number;
}

/** Places orders and follows them; exit code 1 when one was not accepted or is still open. */
export async function demo(options: DemoOptions): Promise<void> {
  const { url = ownUrl(), token, concurrency, rate } = options;
  const api = openApi({ url, token, connections: concurrency + (options.fleet ?? 0) + 8 });
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  try {
    await api.send('GET', '/livez').catch((error: unknown) => {
      throw nobodyThere(url, error);
    });
    if (options.petstore === true) return await showPetstore(api);
    const figures = newFigures(options.orders, monotonicMs());
    const fleet = options.fleet === undefined ? undefined : newFleetFigures(options.fleet, figures);
    const display = fleet === undefined ? showProgress(figures) : show(fleetShown(fleet));
    const { signal } = interrupted;
    try {
      const placing = placeOrders(api, figures, { concurrency, rate }, signal);
      const patienceMs = options.timeout * 1000;
      await Promise.all([
        placing,
        followOrders(api, figures, { placing, patienceMs, signal }),
        fleet === undefined ? undefined : driveFleet(api, fleet, { placing, patienceMs, signal }),
      ]);
    } finally {
      display.stop();
    }
    process.stdout.write(`\n${renderSummary(figures)}\n`);
    if (fleet !== undefined) process.stdout.write(`\n${renderFleet(fleet)}\n`);
    if (interrupted.signal.aborted) process.exitCode = 130;
    else if (figures.accepted < figures.wanted || openOrders(figures).length > 0)
      process.exitCode = 1;
  } finally {
    await api.close();
  }
}

async function showPetstore(api: Api): Promise<void> {
  const { pets, orders, users, password } = await loadPetstore(api);
  const secret = users === 0 ? '' : ` (password: ${password})`;
  process.stdout.write(
    `Loaded ${pets} pets, ${orders} orders and ${users} users${secret}; ` +
      'what was there already is as it was.\n',
  );
}
