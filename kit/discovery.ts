/** Where services of other processes are. The only file that knows the topology. */

export interface Topology {
  /** Whether the service runs in this process. */
  isLocal(service: string): boolean;
  /** Base URLs of the service's instances in other processes; empty when it has none. */
  instancesOf(service: string): readonly string[];
}

/** Reads `static:orders=http://a,payments=http://b|http://c`. */
function parseStaticDiscovery(url: string | undefined): Map<string, string[]> {
  const instances = new Map<string, string[]>();
  if (url === undefined) return instances;
  for (const part of url.slice('static:'.length).split(',')) {
    const [service, list] = part.split('=', 2) as [string, string];
    instances.set(
      service,
      list.split('|').map((base) => base.replace(/\/$/, '')),
    );
  }
  return instances;
}

export function createTopology(
  local: readonly string[],
  discoveryUrl: string | undefined,
): Topology {
  const remote = parseStaticDiscovery(discoveryUrl);
  const here = new Set(local);
  return {
    isLocal: (service) => here.has(service),
    instancesOf: (service) => (here.has(service) ? [] : (remote.get(service) ?? [])),
  };
}
