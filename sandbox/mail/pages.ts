import { createHash } from 'node:crypto';

import type { KeptMail } from './mailbox.ts';

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5a6b7b; --line: #dde4ea;
  --ground: #f6f8fa; --card: #fff; --accent: #0b6e4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aabba; --line: #2b3844;
  --ground: #0e151c; --card: #16202a; --accent: #4ccb9f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.5rem; }
h1 { font-size: 1.7rem; letter-spacing: -.02em; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: .8rem; letter-spacing: .09em; text-transform: uppercase; color: var(--soft);
  margin: 2rem 0 .7rem; }
p.lead { color: var(--soft); margin: 0 0 1.8rem; }
a { color: var(--accent); }
code { font: .92em ui-monospace, Menlo, "Liberation Mono", monospace; }
.mails { border: 1px solid var(--line); border-radius: .7rem; overflow: hidden;
  background: var(--card); }
.mails a { display: grid; grid-template-columns: 14rem 1fr auto; gap: 1rem; color: inherit;
  padding: .8rem 1.1rem; text-decoration: none; border-top: 1px solid var(--line); }
.mails a:first-child { border-top: 0; }
.mails a:hover, .mails a:focus-visible { background: var(--ground); outline: none; }
.mails span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mails b { color: var(--accent); font-weight: 600; }
.mails small, time { color: var(--soft); font-size: .9rem; }
.mails p { margin: 0; padding: 3rem; text-align: center; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: 0; padding: 1.1rem 1.3rem; border: 1px solid var(--line); border-radius: .7rem;
  background: var(--card); white-space: pre-wrap; overflow-wrap: anywhere;
  font: .92rem/1.55 ui-monospace, Menlo, "Liberation Mono", monospace; }
iframe { width: 100%; height: 26rem; border: 1px solid var(--line); border-radius: .7rem;
  background: #fff; }
@media (max-width: 40rem) { .mails a { grid-template-columns: 1fr; gap: 0; } }
`;

const styleHash = createHash('sha256').update(STYLE).digest('base64');

/** Nothing runs, and nothing is asked of anybody else. */
export const PAGE_POLICY =
  `default-src 'none'; style-src 'sha256-${styleHash}'; frame-src 'self'; img-src data:; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A mail's own HTML: it may be styled, and its links open a page of their own. */
export const BODY_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; " +
  "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

const MOST_SHOWN = 200;

export function listPage(mails: readonly KeptMail[], smtpUrl: string): string {
  const rows = mails
    .slice(0, MOST_SHOWN)
    .map(
      (mail) =>
        `<a href="/mail/${mail.id}"><span>${escape(mail.envelope.to.join(', '))}</span>` +
        `<span><b>${escape(mail.subject) || '(no subject)'}</b> ` +
        `<small>${escape(firstLine(mail))}</small></span>` +
        `<time datetime="${mail.receivedAt}">${mail.receivedAt.slice(11, 19)}` +
        `${mail.copies > 1 ? ` ×${mail.copies}` : ''}</time></a>`,
    );
  const list =
    rows.length === 0 ? '<p>No mail yet. This page looks again by itself.</p>' : rows.join('\n');
  return page(
    'Inbox',
    `<h1>Inbox</h1>
<p class="lead">Every e-mail of this Waybill ends here; none is passed on. It listens at
<code>${escape(smtpUrl)}</code>. ${mails.length} kept.</p>
<div class="mails">${list}</div>`,
    '<meta http-equiv="refresh" content="5">',
  );
}

export function mailPage(mail: KeptMail): string {
  const facts = [
    ['From', mail.from],
    ['To', mail.to],
    ['Received', mail.receivedAt],
    ['Message-ID', mail.messageId],
    ...(mail.copies > 1 ? [['Came', `${mail.copies} times`]] : []),
  ];
  const html =
    mail.html === undefined
      ? ''
      : `<h2>As it looks</h2>
<iframe src="/mail/${mail.id}/html" title="The mail" referrerpolicy="no-referrer"
 sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>`;
  return page(
    mail.subject,
    `<p><a href="/">← Inbox</a></p>
<h1>${escape(mail.subject) || '(no subject)'}</h1>
<dl>${facts.map(([name = '', value = '']) => `<dt>${name}</dt><dd>${escape(value)}</dd>`).join('')}
</dl>
${html}
<h2>Text</h2>
<pre>${linked(mail.text ?? '(none)')}</pre>
<h2>Source</h2>
<p><a href="/mail/${mail.id}/raw">as it came</a></p>`,
  );
}

/** Links open elsewhere: the frame that shows this may go nowhere itself. */
export function mailBody(html: string): string {
  return `<base target="_blank">${html}`;
}

function page(title: string, main: string, head = ''): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<link rel="icon" href="data:,">
${head}<style>${STYLE}</style>
</head>
<body><main>${main}</main></body>
</html>
`;
}

function firstLine({ text = '' }: KeptMail): string {
  return text.slice(0, 400).replaceAll(/\s+/g, ' ').trim().slice(0, 120);
}

function linked(text: string): string {
  return text
    .split(/(https?:\/\/[^\s<>"']{1,2000})/)
    .map((piece, index) =>
      index % 2 === 0
        ? escape(piece)
        : `<a href="${escape(piece)}" rel="noreferrer">${escape(piece)}</a>`,
    )
    .join('');
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
