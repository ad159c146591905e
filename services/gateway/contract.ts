/**
 * The entrance. It owns no data and no path under /api: it authenticates, limits, signs who called
 * and hands the request to the service that owns the path.
 *
 * - caller: a subject with roles, or nobody.
 * - upstream: a service that runs in another process.
 */
export const gatewayService = { name: 'gateway', paths: [] } as const;
