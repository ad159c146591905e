/** What can be set about users, passwords and tokens. */
import { integer, text, url, type Values } from '@waybill/kit/config.ts';

export const settings = {
  issuer: text({ env: 'AUTH_ISSUER', help: 'The `iss` of access tokens.', fallback: 'waybill' }),
  audience: text({
    env: 'AUTH_AUDIENCE',
    help: 'The `aud` of access tokens.',
    fallback: 'waybill',
  }),
  accessTtlSeconds: integer(
    { env: 'AUTH_ACCESS_TTL', help: 'Seconds that an access token is good.', fallback: '3600' },
    // The gateway remembers what was taken back for two hours.
    { min: 60, max: 3600 },
  ),
  refreshTtlSeconds: integer(
    {
      env: 'AUTH_REFRESH_TTL',
      help: 'Seconds that a refresh token is good; each use begins anew.',
      fallback: '604800',
    },
    { min: 60, max: 31_536_000 },
  ),
  keyRotationDays: integer(
    {
      env: 'AUTH_KEY_ROTATION_DAYS',
      help: 'Days after which access tokens are signed with a new key.',
      fallback: '30',
    },
    { min: 1, max: 3650 },
  ),
  passwordMinLength: integer(
    {
      env: 'PASSWORD_MIN_LENGTH',
      help: 'Characters that a password has at least.',
      fallback: '8',
    },
    { min: 1, max: 64 },
  ),
  publicUrl: url(
    {
      env: 'PUBLIC_URL',
      help: 'Where people reach this Waybill; mailed links begin with it. Default: this machine.',
    },
    ['https', 'http'],
  ),
} as const;

export type AuthSettings = Values<typeof settings>;
