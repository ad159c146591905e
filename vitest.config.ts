import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

// Started once for the whole run: the database server that every test file clones its own from.
const globalSetup = ['tests/support/global-setup.ts'].filter((file) => existsSync(file));

const services = ['services/**/service.test.ts', '**/*.database.test.ts'];
const systems = ['tests/{attacks,browser,bus,contract,faults,scenarios}/**/*.test.ts'];
/** Judged by the clock, so that nothing else may run beside them. */
const alone = ['tests/faults/outage.test.ts'];
const ignored = ['**/node_modules/**', '**/.waybill/**', '**/.cache/**'];

// Groups that run one after the other, so that what is judged by the clock does not compete for two
// cores with anything else. Inside a group every file has its own database and its own ports.
export default defineConfig({
  test: {
    globalSetup,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // What a test waits for comes late on a machine that is busy, and is right all the same.
    expect: { poll: { timeout: 10_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...ignored, ...services, ...systems],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'services',
          include: services,
          exclude: [...ignored, ...systems],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'systems',
          include: systems,
          exclude: [...ignored, ...alone],
          maxWorkers: 2,
          testTimeout: 240_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          exclude: ignored,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
