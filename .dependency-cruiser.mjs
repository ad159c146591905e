// The boundaries of ARCHITECTURE.md as a check. `$1` is the folder name that `from` captured, which
// is how one rule speaks about every service: "another" means "not the folder I am in".

const test = '[.]test[.]ts$';
const contract = '^services/[^/]+/contract[.]ts$';
/** What contracts are written in. */
const words = ['^kit/(schema|errors)[.]ts$', '(^|/)node_modules/typebox/', '^typebox$'];

export default {
  forbidden: [
    {
      name: 'only-the-contract-of-another-service',
      comment: 'A service may open no file of another service except its contract.ts.',
      severity: 'error',
      from: { path: '^services/([^/]+)/', pathNot: test },
      to: { path: '^services/', pathNot: ['^services/$1/', contract] },
    },
    {
      name: 'a-contract-is-a-leaf',
      comment: 'contract.ts imports kit/schema.ts, kit/errors.ts and TypeBox alone.',
      severity: 'error',
      from: { path: contract },
      to: { pathNot: words },
    },
    {
      name: 'a-contract-of-a-door-is-a-leaf',
      comment:
        "The contract of a further door (checkout-contract.ts) adds its own service's to that.",
      severity: 'error',
      from: { path: '^services/([^/]+)/[a-z]+-contract[.]ts$' },
      to: { pathNot: [...words, '^services/$1/contract[.]ts$'] },
    },
    {
      name: 'the-kit-knows-no-service',
      comment: 'The kit serves every service and knows none: nor an app, the sandbox or the bench.',
      severity: 'error',
      from: { path: '^kit/', pathNot: test },
      to: { path: '^(services|apps|sandbox|bench|tests)/' },
    },
    {
      name: 'rules-are-pure',
      comment: 'rules.ts decides from its arguments alone: contract, errors, money, nothing else.',
      severity: 'error',
      from: { path: '^services/([^/]+)/rules[.]ts$' },
      to: {
        pathNot: [
          '^services/$1/contract[.]ts$',
          '^services/$1/[a-z]+-contract[.]ts$',
          '^kit/(errors|money)[.]ts$',
        ],
      },
    },
    {
      name: 'a-store-knows-its-own-data',
      comment: 'store.ts imports the kit, its own contract and rules, and nothing above it.',
      severity: 'error',
      from: { path: '^services/([^/]+)/store[.]ts$' },
      to: {
        path: '^(services|apps|sandbox|bench|tests)/',
        pathNot: ['^services/$1/(contract|rules)[.]ts$', '^services/$1/[a-z]+-contract[.]ts$'],
      },
    },
    {
      name: 'a-service-knows-no-host',
      comment: 'Who shares the process, and what the outside world looks like, is not its concern.',
      severity: 'error',
      from: { path: '^services/', pathNot: test },
      to: { path: '^(apps|sandbox|bench|tests)/' },
    },
    {
      name: 'the-sandbox-stands-alone',
      comment: 'The sandbox is the outside world: code shared with it could share its mistakes.',
      severity: 'error',
      from: { path: '^sandbox/', pathNot: test },
      to: { path: '^(kit|services|apps|bench|tests)/' },
    },
    {
      name: 'an-app-opens-a-service-by-its-index',
      comment:
        'The server starts services; what is inside them is theirs. Rules are pure, and `verify` ' +
        'judges by them; the development key is what `token` signs with.',
      severity: 'error',
      from: { path: '^apps/', pathNot: test },
      to: {
        path: '^services/',
        pathNot: [
          '^services/[^/]+/(index|contract|rules)[.]ts$',
          '^services/gateway/dev-key[.]ts$',
        ],
      },
    },
    {
      name: 'nothing-runs-on-tests',
      comment: 'Helpers for tests are for tests.',
      severity: 'error',
      from: { pathNot: ['^tests/', test] },
      to: { path: ['^tests/', test] },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'A file that nothing opens and that opens nothing is forgotten code.',
      severity: 'error',
      from: {
        orphan: true,
        pathNot: [test, '[.]config[.]ts$', '[.]d[.]ts$', '/migrations/\\d+_[^/]+[.]ts$'],
      },
      to: {},
    },
    {
      name: 'nothing-unresolvable',
      comment: 'An import that resolves to nothing would escape every rule above.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-undeclared-packages',
      comment: 'A package that is used must stand in a package.json of this repository.',
      severity: 'error',
      from: { path: '^(apps|services|kit|sandbox)/', pathNot: test },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(generated|[.]waybill|[.]cache)/' },
    combinedDependencies: true,
    // Type imports are dependencies too: a contract that only borrows a type still borrows it.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mjs', '.js', '.json', '.d.ts'],
    },
  },
};
