/** What the auth service works with. */
import type { ServiceContext } from '@waybill/kit/service.ts';
import { openKeyRing, type KeyRing } from './keys.ts';
import { openPasswords, type Passwords } from './passwords.ts';
import type { AuthSettings } from './settings.ts';

export interface AuthContext extends ServiceContext<AuthSettings> {
  readonly passwords: Passwords;
  readonly keys: KeyRing;
}

export async function createContext(base: ServiceContext<AuthSettings>): Promise<AuthContext> {
  const { db, log, settings } = base;
  const secret = base.key('signing-keys');
  const { accessTtlSeconds, keyRotationDays: rotationDays } = settings;
  const keys = openKeyRing({ db, log, secret, accessTtlSeconds, rotationDays });
  return { ...base, passwords: await openPasswords(), keys };
}
