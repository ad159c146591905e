/** The rules of the house (STYLE.md, ARCHITECTURE.md) over every file of the repository. */
import { describe, expect, test } from 'vitest';
import { declaredSettings, houseRules } from './support/house.ts';
import { isCode, isTest, repositoryFiles, type Source } from './support/sources.ts';

/** Rule name to the paths that may break it. It only ever gets shorter. */
const exceptions: Readonly<Record<string, readonly string[]>> = {};
const exceptionsAtMost = 0;

/** What a service's folder may hold besides migrations/, providers/ and tests. */
const rooms = 'contract rules store commands views routes consumers tasks index'.split(' ');
/** Files named after their subject, where no room fits. */
const ownRooms: Readonly<Record<string, readonly string[]>> = {
  auth: (
    'administration context guesses keys links once passwords petstore petstore-contract ' +
    'petstore-routes registration sessions settings'
  ).split(' '),
  billing: ['internal-routes', 'settings'],
  gateway: (
    'account-pages assets dev-key documents entrance front headers instances keys open-mode ' +
    'pages proxy publishers rate-limit revocations spans start-page tokens upstreams'
  ).split(' '),
  inventory: ['context', 'moves'],
  customers: ['export'],
  dispatch: (
    'acquire acquiring assigning context executor-routes executors polls settings source-cache ' +
    'source-settings sources sweeps waiting'
  ).split(' '),
  notifications: ['channels', 'context', 'templates'],
  orders: (
    'acceptance arrivals checkout checkout-contract checkout-routes contacts context ' +
    'internal-routes notices owner owner-routes pet-news petstore petstore-contract ' +
    'petstore-routes petstore-store settings'
  ).split(' '),
  pets: ['context', 'internal-routes', 'reservations', 'uploads'],
  photos: ['context', 'encoder', 'photo-store', 'sweeps'],
  payments: ['breaker', 'checkout', 'context', 'provider'],
};

const files = repositoryFiles();
const byPath = new Map(files.map((file) => [file.path, file]));

test('the repository is seen', () => {
  expect(files.length).toBeGreaterThan(30);
  expect(byPath.has('tests/repo.test.ts')).toBe(true);
  expect(byPath.has('package.json')).toBe(true);
});

describe.each(houseRules)('$name', ({ name, applies, find, planted, clean }) => {
  test('holds', () => {
    const excused = exceptions[name] ?? [];
    const broken = files
      .filter(({ path }) => applies(path) && !excused.includes(path))
      .flatMap((file) => find(file).map((finding) => `${file.path} ${finding}`));
    expect(broken).toEqual([]);
  });

  test('finds what is planted, and nothing else', () => {
    for (const source of planted) {
      expect(applies(source.path), source.path).toBe(true);
      expect(find(source), source.text.slice(0, 80)).not.toEqual([]);
    }
    for (const source of clean) {
      expect(applies(source.path), source.path).toBe(true);
      expect(find(source), source.text.slice(0, 80)).toEqual([]);
    }
  });
});

test('no exception is listed that is not needed', () => {
  const unneeded = Object.entries(exceptions).flatMap(([name, paths]) => {
    const rule = houseRules.find((candidate) => candidate.name === name);
    if (rule === undefined) return [`no such rule: ${name}`];
    return paths.filter((path) => {
      const file = byPath.get(path);
      return file === undefined || rule.find(file).length === 0;
    });
  });
  expect(unneeded).toEqual([]);
  expect(Object.values(exceptions).flat().length).toBeLessThanOrEqual(exceptionsAtMost);
});

/** What is wrong with the layout of the services, given every path of the repository. */
function misplaced(paths: readonly string[]): string[] {
  const services = new Set(
    paths.flatMap((path) => /^services\/([^/]+)\/.*\.ts$/.exec(path)?.[1] ?? []),
  );
  return [...services].flatMap((service) => {
    const own = paths.filter((path) => path.startsWith(`services/${service}/`));
    const missing = ['contract.ts', 'index.ts']
      .map((name) => `services/${service}/${name}`)
      .filter((path) => !own.includes(path));
    const allowed = [...rooms, ...(ownRooms[service] ?? [])].join('|');
    const room = new RegExp(
      `^services/${service}/(package\\.json|(${allowed})\\.ts|[a-z-]+(\\.database)?\\.test\\.ts` +
        '|providers/[a-z-]+(\\.test)?\\.ts|migrations/\\d{4}_[a-z0-9_]+\\.ts)$',
    );
    return [
      ...missing.map((path) => `${path} is missing`),
      ...own.filter((path) => !room.test(path)).map((path) => `${path} is no room of a service`),
    ];
  });
}

describe('a service is laid out like every other', () => {
  test('holds', () => {
    expect(misplaced(files.map(({ path }) => path))).toEqual([]);
  });

  test('can fail', () => {
    const good = ['contract.ts', 'index.ts', 'rules.test.ts', 'migrations/0001_orders.ts'];
    const bad = ['utils.ts', 'helpers/a.ts', 'migrations/orders.ts', 'Store.ts'];
    const at = (names: string[]) => names.map((name) => `services/orders/${name}`);
    expect(misplaced(at(good))).toEqual([]);
    expect(misplaced(at([...good, ...bad]))).toHaveLength(bad.length);
    expect(misplaced(at(['store.ts']))).toHaveLength(2);
  });
});

/** Where the example and the declarations differ. */
function settingFaults(example: string, sources: readonly Source[]): string[] {
  const shown = new Map(
    [...example.matchAll(/^#?([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name, value]) => [name!, value!]),
  );
  const declared = new Map(
    sources.flatMap(declaredSettings).map(({ name, fallback }) => [name, fallback]),
  );
  for (const { path } of sources) {
    const [, service] = /^services\/([a-z]+)\/migrations\//.exec(path) ?? [];
    if (service !== undefined) declared.set(`${service.toUpperCase()}_DATABASE_URL`, undefined);
  }
  return [
    ...[...declared].flatMap(([name, fallback]) => {
      const value = shown.get(name);
      if (value === undefined) return [`${name} is declared and not shown`];
      if (fallback !== undefined && value !== fallback)
        return [`${name} is ${fallback} by default, and shown as ${value}`];
      return [];
    }),
    // The sandbox is a program of its own and reads its variables without the kit's tables.
    ...[...shown.keys()]
      .filter((name) => !declared.has(name))
      .filter((name) => !sources.some(({ text }) => text.includes(`'${name}'`)))
      .map((name) => `${name} is shown and not read`),
  ];
}

describe('every setting stands in .env.example with its default', () => {
  test('holds', () => {
    const sources = files.filter(({ path }) => isCode(path) && !isTest(path));
    expect(settingFaults(byPath.get('.env.example')!.text, sources)).toEqual([]);
  });

  test('can fail', () => {
    const text = "a({ env: 'PORT', help: 'Port.', fallback: '8000' });";
    const code = [{ path: 'kit/config.ts', text }];
    const tables = { path: 'services/orders/migrations/0001_orders.ts', text: '' };
    const shown = '#PORT=8000\n#ORDERS_DATABASE_URL=\n';
    expect(settingFaults(shown, [...code, tables])).toEqual([]);
    expect(settingFaults(shown, code)).toHaveLength(1);
    expect(settingFaults('#PORT=8000\n', [...code, tables])).toHaveLength(1);
    expect(settingFaults('', code)).toHaveLength(1);
    expect(settingFaults('PORT=9000\n', code)).toHaveLength(1);
    expect(settingFaults('PORT=8000\nHOST=x\n', code)).toHaveLength(1);
  });
});

/** The decision records that their table of contents does not link. */
function unlinkedRecords(sources: readonly Source[]): string[] {
  const contents = sources.find(({ path }) => path === 'docs/adr/README.md')?.text ?? '';
  return sources
    .map(({ path }) => path)
    .filter((path) => /^docs\/adr\/\d{4}-.*\.md$/.test(path))
    .filter((path) => !contents.includes(`(${path.slice('docs/adr/'.length)})`));
}

describe('every decision record is linked from docs/adr/README.md', () => {
  test('holds', () => {
    expect(unlinkedRecords(files)).toEqual([]);
  });

  test('can fail', () => {
    const record = { path: 'docs/adr/0001-log.md', text: '' };
    const contents = { path: 'docs/adr/README.md', text: '[The log](0001-log.md)' };
    expect(unlinkedRecords([record, contents])).toEqual([]);
    expect(unlinkedRecords([record])).toEqual([record.path]);
  });
});

/** Dependencies that are not pinned to one version. */
function looseVersions(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => /(^|\/)package\.json$/.test(path))
    .flatMap(({ path, text }) => {
      const manifest = JSON.parse(text) as Record<string, Record<string, string> | undefined>;
      return ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
        Object.entries(manifest[kind] ?? {})
          .filter(
            ([, version]) => !/^(npm:(@[\w-]+\/)?[\w-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
          )
          .map(([name, version]) => `${path} ${name} ${version}`),
      );
    });
}

describe('every dependency is pinned to one version', () => {
  test('holds', () => {
    expect(looseVersions(files)).toEqual([]);
  });

  test('can fail', () => {
    const text = '{"dependencies":{"a":"^1.0.0","b":"1.0.0-beta.17","c":"npm:d@1.2.3","e":"*"}}';
    expect(looseVersions([{ path: 'kit/package.json', text }])).toHaveLength(2);
  });
});
