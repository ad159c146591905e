/** What dispatch works with. */
import type { ServiceContext } from '@waybill/kit/service.ts';
import { createAcquiring, type Acquiring } from './acquiring.ts';
import { createAssigning, type Assigning } from './assigning.ts';
import { openHttpSource } from './providers/http.ts';
import { createOwnSources } from './providers/own.ts';
import type { DispatchSettings } from './settings.ts';
import { openSourceCache } from './source-cache.ts';
import { parseSources } from './source-settings.ts';
import { createSources, type SourceReader } from './sources.ts';
import { createWaiting, type Waiting } from './waiting.ts';

export interface DispatchContext extends ServiceContext<DispatchSettings>, SourceReader {
  readonly acquiring: Acquiring;
  readonly assigning: Assigning;
  readonly waiting: Waiting;
  readonly closeSources: () => Promise<void>;
}

export function createContext(base: ServiceContext<DispatchSettings>): DispatchContext {
  const { db, client, log, settings } = base;
  const http = openHttpSource();
  const cache = openSourceCache(settings.cacheUrl, (reason) =>
    log.warn({ reason }, 'the cache of the sources is away'),
  );
  const sources = parseSources(settings.sources, []);
  return {
    ...base,
    acquiring: createAcquiring(db),
    assigning: createAssigning(db),
    waiting: createWaiting(db, log),
    ...createSources({ sources, own: createOwnSources(db, client), http, cache }),
    async closeSources() {
      await Promise.all([http.close(), cache.close()]);
    },
  };
}
