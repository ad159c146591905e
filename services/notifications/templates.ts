/** The words of e-mails: subject, text and HTML, by locale. */
import type { NotificationType, TemplateData, TemplateName } from './contract.ts';

/** What a template is filled with. */
export interface Filling {
  readonly type: NotificationType;
  readonly username: string;
  /** What the notification itself says; lines are paragraphs. */
  readonly text: string;
  readonly data: TemplateData;
}

export interface Words {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

interface Draft {
  readonly subject: string;
  readonly paragraphs: readonly string[];
  /** A link to follow, and what it is called. */
  readonly link?: { readonly url: string; readonly label: string } | undefined;
}

type Write = (filling: Filling) => Draft;

const english: Readonly<Record<TemplateName, Write>> = {
  plain: ({ type, text }) => ({ subject: SUBJECTS[type], paragraphs: [text] }),
  verify_email: ({ username, data }) => ({
    subject: 'Please confirm your e-mail address',
    paragraphs: [
      `Hello ${named(data, 'username') ?? username},`,
      'please confirm that this address is yours by following the link below.',
      'If you did not sign up, you can ignore this message.',
    ],
    link: linkOf(data, 'Confirm the address'),
  }),
  reset_password: ({ username, data }) => ({
    subject: 'Choose a new password',
    paragraphs: [
      `Hello ${named(data, 'username') ?? username},`,
      'somebody, hopefully you, asked for a new password. Follow the link below to choose one.',
      'If it was not you, ignore this message; your password stays as it is.',
    ],
    link: linkOf(data, 'Choose a new password'),
  }),
  order_paid: ({ text, data }) => ({
    subject: `${orderOf(data)} is paid`,
    paragraphs: [text, ...totalOf(data, 'Paid')],
    link: linkOf(data, 'See the order'),
  }),
  order_unpaid: ({ text, data }) => ({
    subject: `${orderOf(data)} could not be paid`,
    paragraphs: [text, ...totalOf(data, 'To pay')],
    link: linkOf(data, 'See the order'),
  }),
};

const SUBJECTS: Readonly<Record<NotificationType, string>> = {
  INFO: 'A message for you',
  WARNING: 'A warning for you',
  ERROR: 'Something went wrong',
  SUCCESS: 'It is done',
  FAIL: 'It did not work',
  DEFAULT: 'A message for you',
};

const locales = { en: english } as const;
export type Locale = keyof typeof locales;

/** Words a notification. */
export function word(template: TemplateName, filling: Filling, locale: Locale = 'en'): Words {
  const { subject, paragraphs, link } = locales[locale][template](filling);
  const shown = paragraphs.map((paragraph) => paragraph.replaceAll(/\r\n?/g, '\n'));
  return {
    subject: oneLine(subject),
    text: `${[...shown, ...(link === undefined ? [] : [link.url])].join('\n\n')}\n`,
    html: htmlOf(locale, subject, shown, link),
  };
}

/** A header has one line, whatever was put into it. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, 200)
    .toWellFormed();
}

function htmlOf(
  locale: Locale,
  subject: string,
  paragraphs: readonly string[],
  link: Draft['link'],
): string {
  const body = paragraphs.map(
    (paragraph) => `<p style="margin:0 0 16px">${escape(paragraph).replaceAll('\n', '<br>')}</p>`,
  );
  if (link !== undefined)
    body.push(
      `<p style="margin:24px 0"><a href="${escape(link.url)}" style="background:#0b6e4f;` +
        'color:#ffffff;padding:12px 20px;border-radius:8px;text-decoration:none">' +
        `${escape(link.label)}</a></p>` +
        `<p style="margin:0;color:#5a6b7b;font-size:13px">${escape(link.url)}</p>`,
    );
  return `<!doctype html>
<html lang="${locale}">
<head><meta charset="utf-8"><title>${escape(oneLine(subject))}</title></head>
<body style="margin:0;background:#f6f8fa">
<div style="max-width:560px;margin:0 auto;padding:32px 24px;background:#ffffff;color:#1c2733;
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif">
${body.join('\n')}
</div>
</body>
</html>
`;
}

/** Only what a browser may open: a link of another kind is not shown at all. */
function linkOf(data: TemplateData, label: string): Draft['link'] {
  const url = data['link'];
  if (typeof url !== 'string' || !/^https?:\/\/[^\s<>"']+$/.test(url)) return undefined;
  return { url, label };
}

function named(data: TemplateData, name: string): string | undefined {
  const value = data[name];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function orderOf(data: TemplateData): string {
  const number = named(data, 'number');
  return number === undefined ? 'Your order' : `Your order ${number}`;
}

function totalOf(data: TemplateData, label: string): string[] {
  const total = named(data, 'total');
  return total === undefined ? [] : [`${label}: ${total} ${named(data, 'currency') ?? ''}`.trim()];
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
