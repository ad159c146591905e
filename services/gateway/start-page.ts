/** The page at `/`: what runs here, where to look, and a first order to copy. */

export const startStyle = `
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5a6b7b; --line: #dde4ea;
  --ground: #f6f8fa; --card: #fff; --accent: #0b6e4f; --code: #10202c; --code-ink: #d7e6f0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aabba; --line: #2b3844;
  --ground: #0e151c; --card: #16202a; --accent: #4ccb9f; --code: #0a1117; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 4rem 1.5rem 3rem; }
h1 { font-size: 2.6rem; letter-spacing: -.03em; line-height: 1.1; margin: 0 0 .6rem; }
h1 span { color: var(--accent); }
.lead { font-size: 1.15rem; color: var(--soft); max-width: 42rem; margin: 0 0 2.5rem; }
h2 { font-size: .8rem; letter-spacing: .09em; text-transform: uppercase; color: var(--soft);
  margin: 2.6rem 0 .9rem; }
.doors { display: grid; gap: .9rem;
  grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); }
.doors a { display: block; padding: 1.05rem 1.2rem; border: 1px solid var(--line);
  border-radius: .7rem; background: var(--card); color: inherit; text-decoration: none; }
.doors a:hover, .doors a:focus-visible { border-color: var(--accent); outline: none; }
.doors b { display: block; color: var(--accent); }
.doors small { color: var(--soft); font-size: .9rem; }
pre { margin: 0; padding: 1.2rem 1.4rem; overflow-x: auto; border-radius: .7rem;
  background: var(--code); color: var(--code-ink);
  font: .9rem/1.6 ui-monospace, "SF Mono", Menlo, "Liberation Mono", monospace; }
p.hint { color: var(--soft); margin: .8rem 0 0; }
code { font: .92em ui-monospace, Menlo, "Liberation Mono", monospace; }
dl { margin: 0; border: 1px solid var(--line); border-radius: .7rem; background: var(--card); }
dl div { display: grid; gap: .1rem 1.5rem; padding: .7rem 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); }
dl div + div { border-top: 1px solid var(--line); }
dt code { color: var(--accent); font-weight: 600; }
dd { margin: 0; color: var(--soft); }
ul { display: flex; flex-wrap: wrap; gap: .6rem; list-style: none; margin: 0; padding: 0; }
li { padding: .3rem .85rem; border: 1px solid var(--line); border-radius: 2rem;
  background: var(--card); }
li small { color: var(--soft); }
`;

const pages = [
  ['/docs', 'Swagger UI', 'Every operation, to read and to try.'],
  ['/redoc', 'ReDoc', 'The same reference, made for reading.'],
  ['/openapi.json', 'OpenAPI', 'The document, for generators and tests.'],
  ['/health', 'Health', 'The process and what it stands on.'],
  ['/metrics', 'Metrics', 'For Prometheus.'],
] as const;

/** The doors to the one order engine, and the one that people come in by. */
const doors = [
  ['POST /api/v1/orders', 'Accept an order at once; it is charged in the background.'],
  ['POST /api/v1/order', 'Check out from a wallet; the answer carries the outcome.'],
  ['POST /api/v3/store/order', 'Reserve a pet, as the petstore has it; its event makes the order.'],
  ['POST /api/v1/dispatch/assignments', 'Assign an order to an executor, who polls to acquire it.'],
  ['POST /api/v1/auth/register', 'Register; or log in, at /api/v1/auth/login.'],
] as const;

const order = `{
    "customer_id": "customer_123",
    "items": [
      {
        "item_id": "item_001",
        "item_name": "Burger",
        "quantity": 2,
        "price": 12.99
      }
    ]
  }`;

export interface StartPageOptions {
  /** `here`: whether it runs in this process. */
  readonly services: readonly { readonly name: string; readonly here: boolean }[];
  readonly port: number;
  readonly mode: 'open' | 'jwt';
  /** Where the sandbox shows e-mails, if it runs. */
  readonly inboxUrl?: string | undefined;
}

/** The page of this process. */
export function startPage({ services, port, mode, inboxUrl }: StartPageOptions): string {
  const inbox = ['Inbox', 'The e-mails that the sandbox caught.'] as const;
  const all = [...pages, ...(inboxUrl === undefined ? [] : [[inboxUrl, ...inbox] as const])];
  const links = all.map(
    ([path, name, text]) => `<a href="${escape(path)}"><b>${name}</b><small>${text}</small></a>`,
  );
  const names = services.map(
    ({ name, here }) => `<li>${name} <small>${here ? 'here' : 'elsewhere'}</small></li>`,
  );
  const entries = doors.map(
    ([call, text]) => `<div><dt><code>${call}</code></dt><dd>${text}</dd></div>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Waybill</title>
<link rel="icon" href="/icon.svg">
<style>${startStyle}</style>
</head>
<body>
<main>
<h1>Way<span>bill</span></h1>
<p class="lead">An order platform: it takes an order from checkout to doorstep and back.
This server is running.</p>
<nav class="doors" aria-label="Pages">${links.join('\n')}</nav>
<h2>Place an order</h2>
<pre><code>${escape(exampleFor(port, mode))}</code></pre>
<p class="hint">The answer is 202 with the order; it is charged in the background. Follow it at the
<code>Location</code> of the answer.</p>
<h2>Doors</h2>
<dl>${entries.join('\n')}</dl>
<h2>Services</h2>
<ul>${names.join('\n')}</ul>
</main>
</body>
</html>
`;
}

function exampleFor(port: number, mode: 'open' | 'jwt'): string {
  const lines = [
    `curl -X POST "http://localhost:${port}/api/v1/orders"`,
    '-H "Content-Type: application/json"',
    ...(mode === 'open' ? [] : ['-H "Authorization: Bearer $TOKEN"']),
    `-d '${order}'`,
  ];
  return lines.join(' \\\n  ');
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
