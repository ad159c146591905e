// Writes docs/openapi.json from the services' route tables, without a server. `--check` writes
// nothing: it fails when the committed document is stale, or when the linter finds fault with it.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');
const file = path.join(root, 'docs', 'openapi.json');
const importFrom = (name) => import(path.join(root, name));

/** The document as the gateway of a process with every service serves it. */
async function describe() {
  const { loadServices } = await importFrom('apps/server/services.ts');
  const { kitRoutes } = await importFrom('kit/kit-routes.ts');
  const { describeRoutes } = await importFrom('kit/openapi.ts');
  const { openDocument } = await importFrom('services/gateway/documents.ts');
  const documents = new Map();
  for (const service of await loadServices([])) {
    // Of a database the routes' descriptions need only to know whose it is.
    const db = service.migrations === undefined ? undefined : { service: service.name };
    const routes = [...service.routes, ...kitRoutes({ service, db, inboxes: new Map() })];
    documents.set(service.name, describeRoutes(service.name, service.description, routes));
  }
  const topology = { isLocal: () => true, instancesOf: () => [] };
  const read = openDocument({ upstreams: [], topology, documents, client: {}, log: console });
  return `${JSON.stringify(JSON.parse(await read()), null, 2)}\n`;
}

function lint() {
  const binaries = path.join(root, 'node_modules', '.bin');
  const options = ['--config', 'redocly.yaml', '--format', 'stylish'];
  const { status } = spawnSync(
    process.execPath,
    [path.join(binaries, 'redocly'), 'lint', ...options, file],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
    },
  );
  return status === 0;
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const document = await describe();
const committed = existsSync(file) ? readFileSync(file, 'utf8') : '';
if (!values.check) {
  writeFileSync(file, document);
  console.log(`docs/openapi.json ${document === committed ? 'is as it was' : 'is written anew'}`);
} else if (document !== committed) {
  console.log('docs/openapi.json is stale: run `node scripts/openapi.mjs`, and commit it');
  process.exitCode = 1;
}
if (!lint()) process.exitCode = 1;
