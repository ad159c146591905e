/** One run: a broker, a cluster on it and a shopper, ended together whatever happens. */
import { appendFileSync, cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PrivateServer } from '../../bus/servers.ts';
import { startBroker, type Engine } from './brokers.ts';
import { startCluster, type Cluster, type ClusterOptions } from './cluster.ts';
import { openShopper, type Shopper, type ShopperOptions } from './shopper.ts';

export interface Run {
  readonly cluster: Cluster;
  readonly shopper: Shopper;
  readonly broker: PrivateServer | undefined;
}

export interface RunOptions extends Omit<ClusterOptions, 'busUrl'> {
  readonly engine?: Engine;
  readonly shopper?: Partial<ShopperOptions>;
}

/** Runs the work on a cluster of its own. */
export async function withRun<Result>(
  options: RunOptions,
  work: (run: Run) => Promise<Result>,
): Promise<Result> {
  const { engine = 'postgres', shopper: shopperOptions, ...clusterOptions } = options;
  const broker = await startBroker(engine);
  try {
    const cluster = await startCluster({ ...clusterOptions, busUrl: broker?.url });
    const journalFile = join(cluster.folder, 'client.ndjson');
    const shopper = openShopper({ url: cluster.url, journalFile, ...shopperOptions });
    try {
      return await work({ cluster, shopper, broker });
    } catch (error) {
      keepEvidence(cluster, error as Error);
      throw error;
    } finally {
      await shopper.close();
      await cluster.stop();
    }
  } finally {
    await broker?.stop();
  }
}

/** What a failed run leaves to be looked at: logs and journals, where FAULT_EVIDENCE says. */
export function keepEvidence(cluster: Cluster, reason: Error | string): void {
  const place = process.env['FAULT_EVIDENCE'];
  if (place === undefined) return;
  const target = join(place, cluster.folder.slice(cluster.folder.lastIndexOf('/') + 1));
  mkdirSync(target, { recursive: true });
  appendFileSync(join(target, 'reason.txt'), `${String(reason)}\n`);
  cpSync(cluster.folder, target, {
    recursive: true,
    filter: (path) => !/\/(postgres|database)(\/|$)/.test(path),
  });
}
