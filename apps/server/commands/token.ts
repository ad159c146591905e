/** `waybill token`: an access token signed with the development key. */
import { mintToken } from '@waybill/gateway/dev-key.ts';
import { ROLES, type Role } from '@waybill/kit/identity.ts';
import { readPlatform } from '../platform.ts';
import { UsageFault } from '../services.ts';

export interface TokenOptions {
  readonly subject: string;
  readonly role: readonly string[];
  readonly executor?: string;
  readonly ttl: number;
}

/** Prints the token alone, so that `$(waybill token …)` works. */
export async function printToken(options: TokenOptions): Promise<void> {
  const { platform } = readPlatform();
  const roles = options.role.map((name) => {
    if (!ROLES.includes(name as Role))
      throw new UsageFault(`There is no role "${name}"; there are ${ROLES.join(', ')}.`);
    return name as Role;
  });
  if (roles.includes('executor') !== (options.executor !== undefined))
    throw new UsageFault('The role executor and --executor ID go together.');
  const token = await mintToken({
    dataDir: platform.dataDir,
    subject: options.subject,
    roles,
    ...(options.executor === undefined ? {} : { executorId: options.executor }),
    ttlSeconds: options.ttl,
  });
  process.stdout.write(`${token}\n`);
}
