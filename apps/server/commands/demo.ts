/** `waybill demo`: orders against a running Waybill, live; or the petstore's demo data. */
import { monotonicMs } from '@waybill/kit/clock.ts';
import { nobodyThere, openApi, type Api } from '../api.ts';
import { followOrders, placeOrders } from '../demo/customers.ts';
import { newFigures, openOrders } from '../demo/figures.ts';
import { loadPetstore } from '../demo/petstore.ts';
import { renderSummary, showProgress } from '../demo/show.ts';
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
}

/** Places orders and follows them; exit code 1 when one was not accepted or is still open. */
export async function demo(options: DemoOptions): Promise<void> {
  const { url = ownUrl(), token, concurrency, rate } = options;
  const api = openApi({ url, token, connections: concurrency + 8 });
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  try {
    await api.send('GET', '/livez').catch((error: unknown) => {
      throw nobodyThere(url, error);
    });
    if (options.petstore === true) return await showPetstore(api);
    const figures = newFigures(options.orders, monotonicMs());
    const display = showProgress(figures);
    const { signal } = interrupted;
    try {
      const placing = placeOrders(api, figures, { concurrency, rate }, signal);
      await Promise.all([
        placing,
        followOrders(api, figures, { placing, patienceMs: options.timeout * 1000, signal }),
      ]);
    } finally {
      display.stop();
    }
    process.stdout.write(`\n${renderSummary(figures)}\n`);
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
