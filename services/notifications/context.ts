/** What the notifications service works with. */
import { breakerSettings } from '@waybill/kit/breaker.ts';
import { decimal, integer, matching, url, type Values } from '@waybill/kit/config.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import { openLogChannel, type ChannelPort } from './channels.ts';
import type { Channel } from './contract.ts';
import { openSmtpChannel } from './providers/smtp.ts';

export const settings = {
  smtpUrl: url(
    {
      env: 'SMTP_URL',
      help:
        'The mail server: smtp://user:password@host:587, or smtps:. Default: the inbox of the ' +
        'sandbox where `serve` started it, else e-mails are only logged.',
      secret: true,
    },
    ['smtp', 'smtps'],
  ),
  mailFrom: matching(
    {
      env: 'MAIL_FROM',
      help: 'Who e-mails are from.',
      fallback: 'Waybill <waybill@localhost>',
    },
    /^([^<>@\r\n",;]{1,100} <[^\s<>@]{1,64}@[^\s<>@]{1,190}>|[^\s<>@]{1,64}@[^\s<>@]{1,190})$/,
    'must look like name@example.com or Name <name@example.com>',
  ),
  retryAttempts: integer(
    {
      env: 'MAIL_RETRY_ATTEMPTS',
      help: "A mail server's temporary refusals of an e-mail before it is given up.",
      fallback: '8',
    },
    { min: 1, max: 100 },
  ),
  retryDelaySeconds: decimal(
    {
      env: 'MAIL_RETRY_DELAY',
      help: 'Seconds before the second attempt; doubles, up to an hour.',
      fallback: '15',
    },
    { min: 0, max: 3600 },
  ),
  deadlineSeconds: integer(
    {
      env: 'MAIL_DEADLINE',
      help: 'Seconds that an e-mail waits out an outage before it is given up.',
      fallback: '259200',
    },
    { min: 1, max: 31_536_000 },
  ),
  timeoutSeconds: decimal(
    { env: 'MAIL_TIMEOUT', help: 'Seconds that sending one e-mail may take.', fallback: '20' },
    { min: 0.1, max: 120 },
  ),
  concurrency: integer(
    { env: 'MAIL_CONCURRENCY', help: 'E-mails under way at once in a process.', fallback: '4' },
    { min: 1, max: 100 },
  ),
  ...breakerSettings,
  retentionDays: integer(
    {
      env: 'NOTIFICATION_RETENTION_DAYS',
      help: 'How long notifications are kept.',
      fallback: '365',
    },
    { min: 1, max: 36_500 },
  ),
} as const;

export type NotificationsSettings = Values<typeof settings>;

export interface NotificationsContext extends ServiceContext<NotificationsSettings> {
  readonly channels: Readonly<Record<Channel, ChannelPort>>;
}

export function createContext(base: ServiceContext<NotificationsSettings>): NotificationsContext {
  const { settings: values, log } = base;
  if (values.smtpUrl === undefined)
    log.warn('SMTP_URL is not set: e-mails are logged, and not sent');
  const email =
    values.smtpUrl === undefined
      ? openLogChannel('email', log)
      : openSmtpChannel({ ...values, url: values.smtpUrl, from: values.mailFrom });
  return { ...base, channels: { email, phone: openLogChannel('phone', log) } };
}
