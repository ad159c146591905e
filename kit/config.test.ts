import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  choice,
  decimal,
  flag,
  integer,
  isLoopback,
  parseSettings,
  platformSettings,
  readEnvironment,
  text,
  url,
  type Environment,
  type SettingsTable,
} from './config.ts';

const folder = mkdtempSync(join(tmpdir(), 'waybill-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const table = {
  size: integer({ env: 'SIZE', help: 'Size.', fallback: '3' }, { min: 1, max: 10 }),
  delay: decimal({ env: 'DELAY', help: 'Delay.', fallback: '0.5' }, { min: 0, max: 60 }),
  mode: choice({ env: 'MODE', help: 'Mode.' }, ['open', 'closed']),
  loud: flag({ env: 'LOUD', help: 'Loud.', fallback: '0' }),
  target: url({ env: 'TARGET', help: 'Target.', secret: true }, ['postgres']),
  word: text({ env: 'WORD', help: 'Word.', secret: true }),
} satisfies SettingsTable;

function parse(environment: Environment) {
  const faults: string[] = [];
  const values = parseSettings(table, environment, faults);
  return { values, faults };
}

test('defaults stand where nothing is set, or only white space', () => {
  for (const environment of [{}, { SIZE: '', DELAY: '  ' }]) {
    const { values, faults } = parse(environment);
    expect(faults).toEqual([]);
    expect(values).toEqual({ size: 3, delay: 0.5, loud: false });
  }
});

test('every fault is listed at once, in a sentence with the name', () => {
  const { faults } = parse({ SIZE: '11', DELAY: '1e2', MODE: 'ajar', LOUD: 'maybe' });
  expect(faults).toEqual([
    'SIZE: "11": must be a whole number from 1 to 10.',
    'DELAY: "1e2": must be a number from 0 to 60.',
    'MODE: "ajar": must be one of open, closed.',
    'LOUD: "maybe": must be 1 or 0.',
  ]);
});

test.each(['0x5', '1_0', '5.0', '+5', '٥', '5 5'])('"%s" is no whole number', (given) => {
  expect(parse({ SIZE: given }).faults).toHaveLength(1);
});

test('a fault of a secret does not show it', () => {
  const { faults } = parse({ TARGET: 'http://hunter2@host' });
  expect(faults).toEqual(['TARGET: must begin with postgres:.']);
});

describe('a secret in a file', () => {
  const file = join(folder, 'word');
  writeFileSync(file, 'hush\n');

  test('is read without its line end', () => {
    expect(parse({ WORD_FILE: file }).values.word).toBe('hush');
  });

  test('stands back behind the variable itself', () => {
    expect(parse({ WORD_FILE: file, WORD: 'said' }).values.word).toBe('said');
  });

  test('is a fault when it cannot be read', () => {
    expect(parse({ WORD_FILE: join(folder, 'none') }).faults).toHaveLength(1);
  });
});

test('the environment stands above the file .env', () => {
  writeFileSync(join(folder, '.env'), 'SIZE=4\nPATH=/nowhere\n');
  const environment = readEnvironment(folder);
  expect(environment['SIZE']).toBe('4');
  expect(environment['PATH']).toBe(process.env.PATH);
});

test.each([
  ['127.0.0.1', true],
  ['127.8.9.1', true],
  ['::1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['::', false],
  ['10.0.0.1', false],
  ['127.0.0.1.example.org', false],
])('%s is loopback: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

test('every default of the platform can be parsed', () => {
  const faults: string[] = [];
  parseSettings(platformSettings, {}, faults);
  expect(faults).toEqual([]);
});
