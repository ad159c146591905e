/**
 * The doors for people: start page, API document, Swagger UI and ReDoc. Everything they load comes
 * from this process, under a policy that allows nothing else, so that they work without a network.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { accountAssets, accountPages } from './account-pages.ts';
import { SCRIPT, STYLE, serveAsset, type Asset } from './assets.ts';
import type { ReadDocument } from './documents.ts';
import { startPage, startStyle, type StartPageOptions } from './start-page.ts';

const require = createRequire(import.meta.url);

const swaggerStart = `window.ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  validatorUrl: null,
});
`;

// ReDoc tries whether it may build its search worker from text; the policy says no, and the browser
// would complain. Without workers to try it searches in the page, which is quick enough.
const redocStart = 'delete globalThis.Worker;\n';

/** What ReDoc has that leads out of here: its name as a picture, and buttons to other websites. */
const adaptRedoc = (text: string) =>
  text
    .replaceAll('https://cdn.redoc.ly/redoc/logo-mini-full.svg', '/redoc/logo.svg')
    .replaceAll('showPageActions:!0', 'showPageActions:!1');
const redocName = `<svg xmlns="http://www.w3.org/2000/svg" width="44" height="12">
<text y="10" font-family="system-ui, sans-serif" font-size="11" fill="#22242b">Redocly</text>
</svg>`;

/** A parcel with its label. */
const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect x="3" y="3" width="26" height="26" rx="5" fill="#0b6e4f"/>
<path d="M8 10h16M8 16h16M8 22h9" stroke="#fff" stroke-width="3" stroke-linecap="round"/>
</svg>`;

const assets: Readonly<Record<string, Asset>> = {
  '/icon.svg': { type: 'image/svg+xml', from: { text: icon } },
  '/docs/swagger-ui.css': {
    type: STYLE,
    from: { file: require.resolve('@fastify/swagger-ui/static/swagger-ui.css') },
  },
  '/docs/swagger-ui-bundle.js': {
    type: SCRIPT,
    from: { file: require.resolve('@fastify/swagger-ui/static/swagger-ui-bundle.js') },
  },
  '/docs/start.js': { type: SCRIPT, from: { text: swaggerStart } },
  '/redoc/redoc.standalone.js': {
    type: SCRIPT,
    from: { file: require.resolve('redoc/bundles/redoc.standalone.js') },
    adapt: adaptRedoc,
  },
  '/redoc/start.js': { type: SCRIPT, from: { text: redocStart } },
  '/redoc/logo.svg': { type: 'image/svg+xml', from: { text: redocName } },
};

const swaggerPage = page(
  'Waybill API – Swagger UI',
  `<link rel="stylesheet" href="/docs/swagger-ui.css">`,
  `<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>`,
);

const redocPage = page(
  'Waybill API – ReDoc',
  '<style>body { margin: 0 }</style>',
  `<redoc spec-url="/openapi.json" disable-telemetry="true"></redoc>
<script src="/redoc/start.js"></script>
<script type="module" src="/redoc/redoc.standalone.js"></script>`,
);

function page(title: string, head: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="/icon.svg">
${head}
</head>
<body>
${body}
</body>
</html>
`;
}

const common = [
  "default-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "object-src 'none'",
].join('; ');
const startPolicy = `${common}; script-src 'none'; style-src '${hashOf(startStyle)}'`;
const accountPolicy = `${common}; script-src 'self'; style-src 'self'`;
/** Both libraries write style elements at run time. Scripts come from files alone. */
const libraryPolicy = [
  common,
  "font-src 'self' data:",
  "img-src 'self' data:",
  "style-src 'self' 'unsafe-inline'",
].join('; ');

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

/** Mounts the pages and what they load. */
export function mountPages(
  app: FastifyInstance,
  options: StartPageOptions,
  readDocument: ReadDocument,
): void {
  const start = startPage(options);
  app.get('/', (_request, reply) => sendPage(reply, start, startPolicy));
  app.get('/docs', (_request, reply) => sendPage(reply, swaggerPage, libraryPolicy));
  app.get('/redoc', (_request, reply) => sendPage(reply, redocPage, libraryPolicy));
  for (const [path, html] of Object.entries(accountPages))
    app.get(path, (_request, reply) => sendPage(reply, html, accountPolicy));
  for (const [path, asset] of Object.entries({ ...assets, ...accountAssets }))
    app.get(path, serveAsset(asset));
  app.get('/openapi.json', async (_request, reply) =>
    reply
      .header('cache-control', 'no-cache')
      .type('application/json; charset=utf-8')
      .send(await readDocument()),
  );
}

function sendPage(reply: FastifyReply, html: string, policy: string): FastifyReply {
  return reply
    .header('content-security-policy', policy)
    .header('referrer-policy', 'no-referrer')
    .header('cross-origin-opener-policy', 'same-origin')
    .header('cache-control', 'no-cache')
    .type('text/html; charset=utf-8')
    .send(html);
}
