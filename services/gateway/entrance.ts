/** Sets up the entrance of a process: the hooks in front, the proxies, the pages. */
import type { FastifyInstance } from 'fastify';
import { isLoopback } from '@waybill/kit/config.ts';
import type { Topology } from '@waybill/kit/discovery.ts';
import type { Entrance, ServiceContext } from '@waybill/kit/service.ts';
import type { QuickEntrance } from '@waybill/kit/shortcuts.ts';
import { openDocument } from './documents.ts';
import { installFront } from './front.ts';
import { openKeys } from './keys.ts';
import { mountPages } from './pages.ts';
import { mountProxies } from './proxy.ts';
import { publishedAt, publishedByAuth } from './publishers.ts';
import { openRevocations } from './revocations.ts';
import { installSpans } from './spans.ts';
import { openTokens, type Tokens } from './tokens.ts';
import { upstreams } from './upstreams.ts';

export interface GatewaySettings {
  readonly jwksUrl: string | undefined;
  readonly issuer: string;
  readonly audience: string;
  readonly pollLimit: number;
  readonly tokenMemoryMb: number;
  readonly inboxUrl: string | undefined;
}

/** Called once, before the routes of the services are mounted. */
export async function setUpEntrance(
  app: FastifyInstance,
  context: ServiceContext<GatewaySettings>,
  { topology, signer, documents }: Entrance,
): Promise<QuickEntrance> {
  const { platform, settings, client, log } = context;
  const mode = platform.authMode === 'open' ? 'open' : 'jwt';
  installSpans(app);
  const quick = installFront(app, {
    mode,
    wide: platform.allowOpen && !isLoopback(platform.host),
    limits: { requests: platform.rateLimit, polls: settings.pollLimit },
    metricsToken: platform.metricsToken,
    tokens: trustedTokens(app, context, topology),
    signer,
  });
  await mountProxies(app, upstreams, topology, log);
  const services = upstreams.map(({ name }) => ({ name, here: topology.isLocal(name) }));
  const readDocument = openDocument({ upstreams, topology, documents, client, log });
  const { inboxUrl } = settings;
  mountPages(app, { services, port: platform.port, mode, inboxUrl }, readDocument);
  return quick;
}

/** Tokens of the issuer that is named; else of our own auth service, where there is one. */
function trustedTokens(
  app: FastifyInstance,
  { platform, settings, client, log }: ServiceContext<GatewaySettings>,
  topology: Topology,
): Tokens {
  const { jwksUrl, issuer, audience } = settings;
  const memoryBytes = settings.tokenMemoryMb * 1024 * 1024;
  const neverRevoked = () => false;
  const options = { dataDir: platform.dataDir, issuer, audience, log };
  if (jwksUrl !== undefined)
    return openTokens(
      openKeys({ ...options, publisher: publishedAt(jwksUrl) }),
      neverRevoked,
      memoryBytes,
    );
  if (!topology.isLocal('auth') && topology.instancesOf('auth').length === 0)
    return openTokens(openKeys({ ...options, publisher: undefined }), neverRevoked, memoryBytes);
  const revocations = openRevocations(client, log);
  app.addHook('onClose', () => revocations.stop());
  const publisher = publishedByAuth(client, revocations);
  return openTokens(openKeys({ ...options, publisher }), revocations.covers, memoryBytes);
}
