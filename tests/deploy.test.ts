/** What can be known of deploy/ without a container engine. */
import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { isTest, repositoryFiles, root } from './support/sources.ts';

const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

interface Service {
  readonly image?: string;
  readonly build?: { context: string; dockerfile: string };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { condition: string }>>;
  readonly healthcheck?: { test?: readonly string[]; disable?: boolean };
  readonly command?: readonly string[];
  readonly restart?: string;
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const compose = (text: string) => parse(text, { merge: true }) as Compose;
const conditions = ['service_healthy', 'service_completed_successfully', 'service_started'];

/** Everything wrong with one compose file, as sentences. */
function composeFaults({ services, volumes }: Compose): string[] {
  const used = new Set<string>();
  const faults = Object.entries(services).flatMap(([name, service]) => [
    ...(service.image === undefined ? [`${name} has no image`] : []),
    ...(/:[^/]+$/.test(service.image ?? '') && !service.image?.endsWith(':latest')
      ? []
      : [`${name}: the image names no version`]),
    ...healthFaults(name, service),
    ...dependencyFaults(name, service, services),
    ...(service.ports ?? [])
      .filter((port) => !port.startsWith('127.0.0.1:'))
      .map((port) => `${name} publishes ${port} beyond loopback`),
    ...(service.volumes ?? []).flatMap((volume) => {
      const source = volume.split(':', 1)[0]!;
      if (source.startsWith('.')) return readable(source) ? [] : [`${name}: no ${source}`];
      used.add(source);
      return source in volumes ? [] : [`${name}: the volume ${source} is not declared`];
    }),
    ...['gateway', 'orders', 'payments', 'migrate', 'waybill', 'sandbox'].flatMap((own) =>
      own === name && service.image !== 'waybill:local' ? [`${name} runs another image`] : [],
    ),
  ]);
  const unused = Object.keys(volumes).filter((volume) => !used.has(volume));
  return [...faults, ...unused.map((volume) => `the volume ${volume} is not used`)];
}

function readable(relative: string): boolean {
  return statSync(path.join(root, 'deploy', relative), { throwIfNoEntry: false }) !== undefined;
}

/** Waybill's image brings a check of its own; a one-shot has nothing to check. */
function healthFaults(name: string, { image, healthcheck, restart }: Service): string[] {
  if (image === 'waybill:local' && healthcheck === undefined) return [];
  if (healthcheck?.disable === true)
    return restart === 'no' ? [] : [`${name} runs on, with its health check disabled`];
  return (healthcheck?.test?.length ?? 0) > 1 ? [] : [`${name} has no health check`];
}

function dependencyFaults(name: string, service: Service, services: Compose['services']): string[] {
  return Object.entries(service.depends_on ?? {}).flatMap(([target, { condition }]) => {
    const other = services[target];
    if (other === undefined) return [`${name} depends on ${target}, which is not there`];
    if (!conditions.includes(condition)) return [`${name}: ${condition} is no condition`];
    const ends = other.restart === 'no';
    return ends === (condition === 'service_completed_successfully')
      ? []
      : [`${name}: ${target} will never be ${condition}`];
  });
}

describe.each(['deploy/compose.yaml', 'deploy/compose.single.yaml'])('%s', (file) => {
  const parsed = compose(read(file));

  test('is sound', () => {
    expect(composeFaults(parsed)).toEqual([]);
  });

  test('builds from where the Dockerfile is', () => {
    for (const { build } of Object.values(parsed.services)) {
      if (build === undefined) continue;
      expect(build).toEqual({ context: '..', dockerfile: 'deploy/Dockerfile' });
    }
  });

  test('sets nothing that Waybill would not read', () => {
    const code = repositoryFiles().filter(
      ({ path: name }) => /^(kit|apps|services|sandbox)\/.*\.(ts|mjs)$/.test(name) && !isTest(name),
    );
    const unread = Object.values(parsed.services)
      .filter(({ image }) => image === 'waybill:local')
      .flatMap(({ environment }) => Object.keys(environment ?? {}))
      .filter((name) => !code.some(({ text }) => text.includes(`'${name}'`)));
    expect([...new Set(unread)]).toEqual([]);
  });
});

test('a broken compose file is found out', () => {
  const broken = compose(`
services:
  gateway: { image: 'other:1', ports: ['8000:8000'], healthcheck: { test: [CMD, x] } }
  a: { image: 'a:latest', healthcheck: { test: [CMD, x] }, volumes: ['nowhere:/data', './no:/x'] }
  b: { image: 'b:1', depends_on: { c: { condition: service_healthy } } }
  d: { image: 'd:1', healthcheck: { disable: true } }
  e: { image: 'waybill:local', depends_on: { a: { condition: service_completed_successfully } } }
volumes: { lonely: {} }
`);
  expect(composeFaults(broken)).toEqual([
    'gateway publishes 8000:8000 beyond loopback',
    'gateway runs another image',
    'a: the image names no version',
    'a: the volume nowhere is not declared',
    'a: no ./no',
    'b has no health check',
    'b depends on c, which is not there',
    'd runs on, with its health check disabled',
    'e: a will never be service_completed_successfully',
    'the volume lonely is not used',
  ]);
});

describe('the parts of the platform', () => {
  const { services } = compose(read('deploy/compose.yaml'));

  test('every service of the code has its container, and every part stands by', () => {
    const own = repositoryFiles().flatMap(
      ({ path: name }) => /^services\/([^/]+)\/package\.json$/.exec(name)?.[1] ?? [],
    );
    expect(own.length).toBeGreaterThan(2);
    const around = ['sandbox', 'migrate', 'postgres', 'rabbitmq', 'redis', 'prometheus', 'grafana'];
    expect(Object.keys(services).toSorted()).toEqual([...own, ...around].toSorted());
    for (const name of own) {
      expect(services[name]!.command).toEqual(['serve', name]);
      expect(services[name]!.depends_on?.['migrate']?.condition).toBe(
        'service_completed_successfully',
      );
      if (name !== 'gateway') expect(services[name]!.ports).toBeUndefined();
    }
  });

  test('are found by one another', () => {
    const found = services['gateway']!.environment!['DISCOVERY_URL']!.replace('static:', '')
      .split(',')
      .map((entry) => entry.split('=') as [string, string]);
    for (const [name, url] of found) expect(url).toBe(`http://${name}:8000`);
    expect(services).toMatchObject(Object.fromEntries(found.map(([name]) => [name, {}])));
  });

  test('have no secret with a default, and new-env.sh makes every one of them', () => {
    const text = read('deploy/compose.yaml');
    const demanded = [...text.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name!);
    const withDefault = [...text.matchAll(/\$\{(\w*(?:SECRET|PASSWORD)\w*):-/g)];
    expect(withDefault).toEqual([]);
    // Nested substitutions are not understood by every version of compose.
    expect(text).not.toMatch(/\$\{[^}]*\$\{/);
    const folder = mkdtempSync(path.join(tmpdir(), 'waybill-deploy-'));
    try {
      copyFileSync(path.join(root, 'deploy/new-env.sh'), path.join(folder, 'new-env.sh'));
      execFileSync('sh', [path.join(folder, 'new-env.sh')]);
      const written = readFileSync(path.join(folder, '.env'), 'utf8');
      const made = written.match(/^\w+(?==\S*[0-9a-f]{48}\S*$)/gm) ?? [];
      expect(made.toSorted()).toEqual([...new Set(demanded)].toSorted());
      const secrets = written.match(/(?<==)[0-9a-f]{48}$/gm) ?? [];
      expect(new Set(secrets).size).toBe(made.length - 1);
      expect(statSync(path.join(folder, '.env')).mode & 0o777).toBe(0o600);
      execFileSync('sh', [path.join(folder, 'new-env.sh')]);
      expect(readFileSync(path.join(folder, '.env'), 'utf8')).toBe(written);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('the image', () => {
  const dockerfile = read('deploy/Dockerfile');

  test('copies the manifest of every workspace that it serves', () => {
    const manifests = repositoryFiles()
      .map(({ path: name }) => name)
      .filter((name) => /^(apps|services)\/[^/]+\/package\.json$|^(kit|sandbox)\//.test(name))
      .filter((name) => name.endsWith('package.json'));
    expect(manifests.length).toBeGreaterThan(4);
    for (const name of manifests)
      expect(dockerfile).toContain(`COPY ${name} ${path.dirname(name)}/`);
  });

  test('runs as nobody in particular', () => {
    const stages = dockerfile.split(/^FROM /m);
    expect(stages.at(-1)).toMatch(/^USER waybill$/m);
  });

  test('its health check tells a server that lives from one that does not', async () => {
    const script = /HEALTHCHECK[^]*?CMD \["node", "-e", "(.*)"\]/.exec(dockerfile)?.[1];
    expect(script).toBeDefined();
    let status = 200;
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url);
      response.writeHead(status).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const check = () =>
      promisify(execFile)(process.execPath, ['-e', script!], { env: { PORT: String(port) } });
    await check();
    status = 503;
    await expect(check()).rejects.toMatchObject({ code: 1 });
    await new Promise((resolve) => server.close(resolve));
    await expect(check()).rejects.toMatchObject({ code: 1 });
    expect(asked).toEqual(['/livez', '/livez']);
  });
});

describe('what is watched', () => {
  const dashboard = JSON.parse(read('deploy/grafana/dashboards/waybill.json')) as {
    panels: {
      id: number;
      type: string;
      title: string;
      gridPos: { x: number; y: number; w: number; h: number };
      targets?: { expr: string; datasource: { uid: string } }[];
    }[];
  };
  const sources = parse(read('deploy/grafana/provisioning/datasources/prometheus.yml')) as {
    datasources: { uid: string; url: string }[];
  };

  test('the dashboard asks the provisioned source, and no panel lies on another', () => {
    const cells = new Set<string>();
    for (const { type, targets, gridPos, title } of dashboard.panels) {
      if (type !== 'row') expect(targets?.length, title).toBeGreaterThan(0);
      for (const { datasource } of targets ?? [])
        expect(datasource.uid).toBe(sources.datasources[0]!.uid);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(cells.has(`${x},${y}`), `${title} at ${x},${y}`).toBe(false);
          expect(x).toBeLessThan(24);
          cells.add(`${x},${y}`);
        }
    }
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });

  test('every metric that is asked for is one that the code declares', () => {
    const code = repositoryFiles()
      .filter(({ path: name }) => /^(kit|apps|services)\/.*\.ts$/.test(name) && !isTest(name))
      .map(({ text }) => text)
      .join('\n');
    const declared = new Set(
      [...code.matchAll(/\b(?:counter|gauge|histogram)(?:<[^(]*>)?\(\s*'(waybill_\w+)'/g)].map(
        ([, name]) => name!,
      ),
    );
    const asked = new Set(
      [
        read('deploy/prometheus/alerts.yml'),
        ...dashboard.panels.flatMap(({ targets }) => (targets ?? []).map(({ expr }) => expr)),
      ].flatMap((text) => text.match(/\bwaybill_\w+/g) ?? []),
    );
    expect(asked.size).toBeGreaterThan(15);
    const unknown = [...asked].filter(
      (name) =>
        !declared.has(name) &&
        !declared.has(name.replace(/_(bucket|count|sum)$/, '')) &&
        // Node's own, from prom-client's default metrics.
        !/^waybill_(process|nodejs)_/.test(name),
    );
    expect(unknown).toEqual([]);
  });
});
