import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Static } from 'typebox';

import { createApp, problem } from '../app.ts';
import { createSecretCheck, isLoopback } from '../control.ts';
import { startListener } from '../listener.ts';
import { createMailbox } from './mailbox.ts';
import type { KeptMail, Mailbox } from './mailbox.ts';
import { BODY_POLICY, listPage, mailBody, mailPage, PAGE_POLICY } from './pages.ts';
import { MODES, startSmtp } from './smtp.ts';
import type { Behaviour, Mode } from './smtp.ts';

export interface InboxOptions {
  readonly host: string;
  /** 0 chooses free ones. */
  readonly smtpPort: number;
  readonly port: number;
  /** Opens the control; mails may be read without it. */
  readonly secret: string;
  /** Lets other machines read mails and use the control. */
  readonly allowRemote?: boolean;
}

export interface Inbox {
  readonly smtpPort: number;
  readonly port: number;
  readonly url: string;
  readonly smtpUrl: string;
  close(): Promise<void>;
}

const GRACE_MS = 2_000;

/** Starts a mail server that keeps what it gets, and the pages that show it. */
export async function startInbox(options: InboxOptions): Promise<Inbox> {
  const mailbox = createMailbox();
  const behaviour = createBehaviour();
  const smtp = await startSmtp({
    host: options.host,
    port: options.smtpPort,
    behaviour: () => behaviour.present(),
    take: (mail) => mailbox.add(mail),
    connected: () => behaviour.count(),
  });
  const reachable =
    options.host === '0.0.0.0' || options.host === '::' ? 'localhost' : options.host;
  const smtpUrl = `smtp://${inUrl(reachable)}:${smtp.port}`;
  const app = createInboxApp(options, mailbox, smtpUrl, {
    show: () => ({ ...behaviour.show(), received: mailbox.received }),
    async change(change) {
      behaviour.change(change);
      await smtp.enforce();
    },
  });
  const listener = await startListener(app, options.host, options.port).catch(
    async (error: unknown) => {
      await smtp.close();
      throw error;
    },
  );
  return {
    smtpPort: smtp.port,
    port: listener.port,
    url: `http://${inUrl(reachable)}:${listener.port}`,
    smtpUrl,
    async close() {
      await smtp.close();
      await listener.close(GRACE_MS);
      await app.close();
    },
  };
}

const ControlBody = Type.Object(
  {
    mode: Type.Optional(Type.Union(MODES.map((mode) => Type.Literal(mode)))),
    latency_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: 600_000 })),
  },
  { additionalProperties: false },
);
type Change = Static<typeof ControlBody>;

function createBehaviour() {
  let mode: Mode = 'up';
  let latencyMs = 30_000;
  let connections = 0;
  return {
    present: (): Behaviour => ({ mode, latencyMs }),
    count: () => void connections++,
    change(change: Change) {
      mode = change.mode ?? mode;
      latencyMs = change.latency_ms ?? latencyMs;
    },
    show: () => ({ mode, latency_ms: latencyMs, connections }),
  };
}

interface Control {
  show(): object;
  change(change: Change): Promise<void>;
}

function createInboxApp(
  options: InboxOptions,
  mailbox: Mailbox,
  smtpUrl: string,
  control: Control,
): FastifyInstance {
  const app = createApp();
  const isSecret = createSecretCheck(options.secret);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'content-security-policy': PAGE_POLICY,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    if (options.allowRemote !== true) {
      // A page from elsewhere may name itself what it likes, but not so that it leads here.
      const near = isLoopback(request.socket.remoteAddress ?? '') && isOwnName(request.hostname);
      if (!near) return reply.code(403).send(problem('loopback_only', 'Only this machine may ask'));
    }
    const changes = request.method !== 'GET' && request.method !== 'HEAD';
    if (!changes || isSecret(request.headers['x-sandbox-secret'])) return undefined;
    return reply.code(401).send(problem('wrong_secret', 'Send the x-sandbox-secret header'));
  });
  addControl(app, control, mailbox);
  addMails(app, mailbox);
  addPages(app, mailbox, smtpUrl);
  return app;
}

function addControl(app: FastifyInstance, control: Control, mailbox: Mailbox): void {
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/control', () => control.show());
  app.post<{ Body: Change }>('/control', { schema: { body: ControlBody } }, async (request) => {
    await control.change(request.body);
    return control.show();
  });
  app.delete('/mails', () => {
    mailbox.clear();
    return { mails: [], total: 0 };
  });
}

const MailsQuery = Type.Object(
  {
    to: Type.Optional(Type.String({ maxLength: 320 })),
    limit: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,3}$' })),
  },
  { additionalProperties: false },
);

function addMails(app: FastifyInstance, mailbox: Mailbox): void {
  app.get<{ Querystring: Static<typeof MailsQuery> }>(
    '/mails',
    { schema: { querystring: MailsQuery } },
    ({ query }) => {
      const { to, limit = '100' } = query;
      const wanted = mailbox.all().filter(({ envelope }) => {
        return to === undefined || envelope.to.includes(to);
      });
      return { mails: wanted.slice(0, Number(limit)).map(showMail), total: wanted.length };
    },
  );
}

function addPages(app: FastifyInstance, mailbox: Mailbox, smtpUrl: string): void {
  const html = 'text/html; charset=utf-8';
  app.get('/', (_request, reply) => reply.type(html).send(listPage(mailbox.all(), smtpUrl)));
  app.get<{ Params: { id: string } }>('/mail/:id', (request, reply) => {
    const mail = findMail(mailbox, request.params.id);
    return mail === undefined ? reply.callNotFound() : reply.type(html).send(mailPage(mail));
  });
  app.get<{ Params: { id: string } }>('/mail/:id/html', (request, reply) => {
    const mail = findMail(mailbox, request.params.id);
    if (mail?.html === undefined) return reply.callNotFound();
    return reply
      .header('content-security-policy', BODY_POLICY)
      .type(html)
      .send(mailBody(mail.html));
  });
  app.get<{ Params: { id: string } }>('/mail/:id/raw', (request, reply) => {
    const mail = findMail(mailbox, request.params.id);
    if (mail === undefined) return reply.callNotFound();
    return reply.type('text/plain; charset=utf-8').send(mail.raw);
  });
}

function findMail(mailbox: Mailbox, id: string): KeptMail | undefined {
  return /^\d{1,9}$/.test(id) ? mailbox.find(Number(id)) : undefined;
}

function showMail(mail: KeptMail): object {
  return {
    id: mail.id,
    received_at: mail.receivedAt,
    from: mail.envelope.from,
    to: mail.envelope.to,
    subject: mail.subject,
    message_id: mail.messageId,
    copies: mail.copies,
    headers: mail.headers,
    text: mail.text ?? null,
    html: mail.html ?? null,
  };
}

function isOwnName(hostname: string): boolean {
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[|\]$/g, ''));
}

function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
