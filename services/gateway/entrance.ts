/** Sets up the entrance of a process: the hook in front, the proxies, the pages. */
import type { FastifyInstance } from 'fastify';
import { isLoopback } from '@waybill/kit/config.ts';
import type { Entrance, ServiceContext } from '@waybill/kit/service.ts';
import { openDocument } from './documents.ts';
import { installFront } from './front.ts';
import { openKeys } from './keys.ts';
import { mountPages } from './pages.ts';
import { mountProxies } from './proxy.ts';
import { openTokens } from './tokens.ts';
import { upstreams } from './upstreams.ts';

export interface GatewaySettings {
  readonly jwksUrl: string | undefined;
  readonly issuer: string;
  readonly audience: string;
}

/** Called once, before the routes of the services are mounted. */
export async function setUpEntrance(
  app: FastifyInstance,
  context: ServiceContext<GatewaySettings>,
  { topology, signer, documents }: Entrance,
): Promise<void> {
  const { platform, settings, client, log } = context;
  const mode = platform.authMode === 'open' ? 'open' : 'jwt';
  const findKey = openKeys({ ...settings, dataDir: platform.dataDir, log });
  installFront(app, {
    mode,
    wide: platform.allowOpen && !isLoopback(platform.host),
    rateLimit: platform.rateLimit,
    metricsToken: platform.metricsToken,
    tokens: openTokens(findKey),
    signer,
  });
  await mountProxies(app, upstreams, topology, log);
  const services = upstreams.map(({ name }) => ({ name, here: topology.isLocal(name) }));
  const readDocument = openDocument({ upstreams, topology, documents, client, log });
  mountPages(app, { services, port: platform.port, mode }, readDocument);
}
