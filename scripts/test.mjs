// `npm test`: every check of the repository, one after the other, whatever the earlier ones said.
//
//   npm test                              all of it
//   npm test -- --only types,lint         some steps
//   npm test -- --only tests kit/money    the tests whose path contains kit/money
//
// The last line printed is `N passed, N failed`: one for every step, and one for every test.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs, stripVTControlCharacters } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');
const binaries = path.join(root, 'node_modules', '.bin');
const bin = (name) => path.join(binaries, name);
/** Tools start by `env node`, which has to find the pinned one however this script was started. */
const env = { ...process.env, PATH: `${binaries}${path.delimiter}${process.env.PATH ?? ''}` };
const sourceFolders = ['apps', 'kit', 'services', 'sandbox', 'bench', 'tests'];
/** Where the machine was prepared on purpose (scripts/install.sh), a missing tool is a failure. */
const mustHaveTools = process.env.WAYBILL_INSTALL === '1';

const passed = { passed: 1, failed: 0, skipped: 0 };
const failed = { passed: 0, failed: 1, skipped: 0 };
const notRun = { passed: 0, failed: 0, skipped: 1 };

/** The steps in order. Each answers with counts; what it prints is for the reader. */
const steps = {
  tools: { title: 'tools and servers the tests can use', run: checkTools },
  types: { title: 'type check', run: () => command('tsc', ['-p', 'tsconfig.json']) },
  lint: { title: 'lint, type-aware', run: () => command('oxlint', ['.']) },
  format: { title: 'format', run: () => command('oxfmt', ['--check', '.']) },
  boundaries: { title: 'boundaries between the parts', run: checkBoundaries },
  dead: { title: 'dead code', run: () => command('knip', ['--no-progress']) },
  openapi: { title: 'OpenAPI documents', run: checkOpenApi },
  alerts: { title: 'Prometheus configuration and alert rules', run: checkAlerts },
  tests: { title: 'tests', run: runTests },
};

/** Runs a program of node_modules/.bin with its output passed through. */
async function command(name, args, options = {}) {
  return (await run(bin(name), args, options)) === 0 ? passed : failed;
}

/** Resolves with the exit code. Standard input is closed: nothing here may wait for a person. */
function run(file, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: root,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
      ...options,
    });
    child.on('error', (error) => {
      console.error(`${file}: ${error.message}`);
      resolve(1);
    });
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

function onPath(name) {
  const folders = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`.split(':');
  return folders.some((folder) => folder !== '' && existsSync(path.join(folder, name)));
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 1000 });
    const settle = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('connect', () => settle(true));
    socket.on('error', () => settle(false));
    socket.on('timeout', () => settle(false));
  });
}

/** Reports a check that could not run: loud, and a failure where the tools were promised. */
function unavailable(what) {
  console.log(`NOT RUN: ${what}`);
  return mustHaveTools ? failed : notRun;
}

async function checkTools() {
  const missing = ['promtool', 'chromium', 'ss'].filter((name) => !onPath(name));
  if (!(await listens(6379))) missing.push('redis-server on 127.0.0.1:6379');
  if (!(await listens(5672))) missing.push('rabbitmq-server on 127.0.0.1:5672');
  if (missing.length === 0) return passed;
  console.log('WAYBILL_INSTALL=1 bash scripts/install.sh brings what is missing on Debian.');
  return unavailable(`whatever needs ${missing.join(', ')}`);
}

/** Every TypeScript file under the source folders, as paths relative to the root. */
function sourceFiles() {
  return sourceFolders
    .filter((folder) => existsSync(path.join(root, folder)))
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true })
        .map((file) => path.join(folder, file))
        .filter((file) => file.endsWith('.ts') && !file.split(path.sep).includes('node_modules')),
    );
}

/**
 * A dependency-cruiser that finds no TypeScript compiler it can use reads no file and reports "no
 * violations". The number of modules it read is therefore part of the check.
 */
function checkBoundaries() {
  const folders = sourceFolders.filter((folder) => existsSync(path.join(root, folder)));
  const args = ['--config', '.dependency-cruiser.mjs', '--output-type', 'json', ...folders];
  const cruise = spawnSync(bin('depcruise'), args, {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let report;
  try {
    report = JSON.parse(cruise.stdout);
  } catch {
    console.log(`dependency-cruiser gave no report (exit code ${cruise.status})`);
    return failed;
  }
  const files = sourceFiles().length;
  const read = report.modules.filter(
    ({ source }) => source.endsWith('.ts') && !source.includes('node_modules'),
  );
  const edges = read.reduce((sum, { dependencies }) => sum + dependencies.length, 0);
  console.log(`${read.length} of ${files} TypeScript files read, ${edges} dependencies`);
  for (const { rule, from, to } of report.summary.violations) {
    console.log(`  ${rule.name}: ${from}${to === from ? '' : ` → ${to}`}`);
  }
  if (read.length <= files / 2 || edges === 0) {
    console.log('too few: the check cannot see the code and proves nothing');
    return failed;
  }
  return report.summary.error === 0 ? passed : failed;
}

/** Lints the OpenAPI documents that the services generate, once the script for it exists. */
async function checkOpenApi() {
  const script = path.join(root, 'scripts', 'openapi.mjs');
  if (!existsSync(script)) return null;
  return (await run(process.execPath, [script, '--check'])) === 0 ? passed : failed;
}

async function checkAlerts() {
  const folder = path.join(root, 'deploy', 'prometheus');
  if (!onPath('promtool')) return unavailable('promtool is not installed, so no rule was checked');
  const options = { cwd: folder };
  const codes = [
    await run('promtool', ['check', 'config', 'prometheus.yml'], options),
    await run('promtool', ['test', 'rules', 'alerts.test.yml'], options),
  ];
  return codes.every((code) => code === 0) ? passed : failed;
}

/** What failed, six lines each: printed last, where whoever sees only the end looks. */
function failuresIn(files) {
  const head = (text) =>
    stripVTControlCharacters(text ?? '')
      .split('\n')
      .slice(0, 4)
      .join('\n    ');
  return files.flatMap(({ name, status, message, assertionResults }) => {
    const file = path.relative(root, name);
    const tests = assertionResults.filter((test) => test.status === 'failed');
    if (status === 'failed' && tests.length === 0) return [`${file}\n    ${head(message)}`];
    return tests.map(
      ({ fullName, failureMessages }) => `${file} › ${fullName}\n    ${head(failureMessages[0])}`,
    );
  });
}

/** Counts every test. A file that does not even load counts as one failure. */
async function runTests(filters) {
  const folder = mkdtempSync(path.join(tmpdir(), 'waybill-test-'));
  const output = path.join(folder, 'report.json');
  try {
    const args = ['run', ...filters, '--reporter=default', '--reporter=json'];
    const code = await run(bin('vitest'), [...args, `--outputFile.json=${output}`]);
    if (!existsSync(output)) return failed;
    const report = JSON.parse(readFileSync(output, 'utf8'));
    const broken = report.testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    );
    const failures = report.numFailedTests + broken.length;
    return {
      passed: report.numPassedTests,
      // An unhandled rejection fails the run without failing a test.
      failed: code !== 0 && failures === 0 ? 1 : failures,
      skipped: report.numPendingTests + report.numTodoTests,
      failures: failuresIn(report.testResults),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

function describe({ passed: good, failed: bad, skipped }) {
  return `${good} passed, ${bad} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** The plan: the chosen step names and what is left for the test runner, or a sentence. */
function plan() {
  const { values, positionals } = parseArgs({
    options: { only: { type: 'string' } },
    allowPositionals: true,
  });
  const names = values.only?.split(',') ?? Object.keys(steps);
  const unknown = names.filter((name) => !(name in steps));
  if (unknown.length > 0) {
    throw new Error(
      `no such step: ${unknown.join(', ')} (there are: ${Object.keys(steps).join(', ')})`,
    );
  }
  return { names: Object.keys(steps).filter((name) => names.includes(name)), filters: positionals };
}

function assertPinnedNode() {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const wanted = manifest.dependencies.node;
  if (process.versions.node === wanted) return;
  throw new Error(
    `this is Node ${process.versions.node}, the tests are for ${wanted}: ` +
      'run them by `npm test` after `npm ci`, which installs that version',
  );
}

async function main() {
  assertPinnedNode();
  const { names, filters } = plan();
  const begun = performance.now();
  console.log(`Node ${process.versions.node}. ${names.length} steps: ${names.join(', ')}`);
  const rows = [];
  for (const name of names) {
    console.log(`\n── ${name}: ${steps[name].title}`);
    const since = performance.now();
    const counts = await steps[name].run(filters);
    if (counts === null) {
      console.log('nothing there to check yet');
      continue;
    }
    rows.push({ name, counts, took: seconds(since) });
    console.log(`── ${name}: ${describe(counts)} in ${seconds(since)}`);
  }
  const sum = (key) => rows.reduce((total, { counts }) => total + counts[key], 0);
  const total = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
  console.log(`\nAll of it, in ${seconds(begun)}:`);
  for (const { name, counts, took } of rows) {
    const mark = counts.failed > 0 ? 'FAILED ' : counts.skipped > 0 ? 'partly ' : 'passed ';
    console.log(`  ${mark} ${name.padEnd(12)} ${took.padStart(8)}   ${describe(counts)}`);
  }
  for (const failure of rows.flatMap(({ counts }) => counts.failures ?? [])) {
    console.log(`  failed: ${failure}`);
  }
  return total;
}

try {
  const total = await main();
  // Exit by itself once the output is flushed; a pipe would lose the last line to process.exit().
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
  console.log(describe(total));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
  console.log('0 passed, 1 failed');
}
