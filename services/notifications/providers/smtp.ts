/** E-mail over SMTP. */
import { createTransport, type Transporter } from 'nodemailer';
import { createBreaker, type BreakerSettings } from '@waybill/kit/breaker.ts';
import { isLoopback } from '@waybill/kit/config.ts';
import type { ChannelPort, OutgoingMessage } from '../channels.ts';
import type { Outcome } from '../rules.ts';

export interface SmtpSettings extends BreakerSettings {
  /** smtp: (STARTTLS where it is offered) or smtps: */
  readonly url: string;
  readonly from: string;
  /** For one message as a whole. */
  readonly timeoutSeconds: number;
  readonly concurrency: number;
}

const CONNECT_MS = 10_000;
const NOT_TRIED: Outcome = { kind: 'outage', detail: 'the breaker is open' };

export function openSmtpChannel(settings: SmtpSettings): ChannelPort {
  const transport = openTransport(settings);
  const breaker = createBreaker('smtp', settings);
  const domain = /@([^\s>]+)>?$/.exec(settings.from)?.[1] ?? 'localhost';
  return {
    room: (running) => breaker.room(running, () => Math.max(0, settings.concurrency - running)),
    async send(message, signal) {
      const late = AbortSignal.timeout(settings.timeoutSeconds * 1000);
      const { answer } = await breaker.run(
        () =>
          transport
            .sendMail({
              ...mailOf(message, settings.from, domain),
              signal: AbortSignal.any([signal, late]),
            })
            .then((info): Outcome => ({ kind: 'sent', detail: info.response ?? '' }))
            .catch(outcomeOf),
        NOT_TRIED,
      );
      return answer;
    },
    async close() {
      transport.close();
    },
  };
}

function openTransport(settings: SmtpSettings): Transporter {
  const url = new URL(settings.url);
  const secure = url.protocol === 'smtps:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const hasUser = url.username !== '';
  return createTransport({
    pool: true,
    host,
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    // A password must not go over a connection that somebody has talked out of its encryption.
    requireTLS: hasUser && !isLoopback(host),
    ...(hasUser
      ? { auth: { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) } }
      : {}),
    maxConnections: settings.concurrency,
    maxMessages: 100,
    maxRequeues: 1,
    connectionTimeout: Math.min(CONNECT_MS, settings.timeoutSeconds * 1000),
    greetingTimeout: Math.min(CONNECT_MS, settings.timeoutSeconds * 1000),
    dnsTimeout: Math.min(CONNECT_MS, settings.timeoutSeconds * 1000),
    socketTimeout: settings.timeoutSeconds * 1000,
    disableFileAccess: true,
    disableUrlAccess: true,
    logger: false,
  });
}

/** The same notification makes the same mail, Message-ID and date included. */
function mailOf({ id, address, createdAt, words }: OutgoingMessage, from: string, domain: string) {
  return {
    from,
    // As an object it is taken as it is; as a text it would be parsed, and might be two.
    to: { name: '', address },
    subject: words.subject,
    text: words.text,
    html: words.html,
    messageId: `<${id}@${domain}>`,
    date: new Date(createdAt),
    headers: { 'Auto-Submitted': 'auto-generated' },
  };
}

interface SmtpError {
  readonly message: string;
  readonly code?: string;
  readonly command?: string;
  readonly responseCode?: number;
  readonly response?: string;
}

/** Steps in which the server speaks of this message, and not of itself or of us. */
const ABOUT_THE_MESSAGE = new Set(['MAIL FROM', 'RCPT TO', 'DATA', 'API']);
/** The server closes, or asks for what our settings should have held. */
const ABOUT_ITSELF = new Set([421, 503, 530, 534, 535, 538]);

/** What an error of nodemailer means. Without an answer about the message it is an outage. */
export function outcomeOf(error: unknown): Outcome {
  const { message, code, command, responseCode, response } = error as SmtpError;
  if (code !== 'EENVELOPE' && code !== 'EMESSAGE')
    return { kind: 'outage', detail: code ?? message };
  // Nodemailer itself refuses an address or a message that no server would take.
  if (responseCode === undefined) return { kind: 'refused', detail: message };
  if (ABOUT_ITSELF.has(responseCode) || !ABOUT_THE_MESSAGE.has(command ?? ''))
    return { kind: 'outage', detail: `${responseCode}` };
  return { kind: responseCode >= 500 ? 'refused' : 'delayed', detail: response ?? message };
}
