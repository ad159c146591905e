import { describe, expect, test } from 'vitest';
import { parseArguments, TOPICS } from './arguments.ts';
import { ORDER_BODY } from './order-body.ts';
import { startBareRoute } from './processes.ts';
import { createTally, median, percentile, ratio, spread } from './statistics.ts';
import { formatSpread, formatValue, renderTable, replaceSection } from './table.ts';

describe('statistics', () => {
  test('a percentile is the nearest rank, whatever the order', () => {
    const samples = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(samples, 0.5)).toBe(50);
    expect(percentile(samples, 0.99)).toBe(99);
    expect(percentile(samples, 1)).toBe(100);
    expect(percentile(samples, 0)).toBe(1);
    expect(percentile([9, 10, 2], 0.5)).toBe(9);
    expect(percentile([], 0.5)).toBeNaN();
  });

  test('a median sorts numbers as numbers, and halves an even middle', () => {
    expect(median([10, 9, 100])).toBe(10);
    expect(median([1, 2, 3, 10])).toBe(2.5);
    expect(spread([10, 9, 100])).toEqual({ median: 10, min: 9, max: 100 });
  });

  test('a ratio compares rounds in pairs', () => {
    // The medians alone would say 10 / 20; two of three pairs say 1.
    expect(ratio([10, 20, 5], [10, 20, 50])).toBe(1);
    expect(ratio([10, 20, 30], [10])).toBe(2);
  });

  test('a tally keeps the rounds by name, and has nothing under a wrong one', () => {
    const tally = createTally();
    tally.add('a', 1);
    tally.add('b', 5);
    tally.add('a', 2);
    expect(tally.values('a')).toEqual([1, 2]);
    expect(() => tally.values('c')).toThrow('"c"');
  });
});

describe('the table', () => {
  test('numbers have three or four digits and their unit', () => {
    expect(formatValue(23_600.4, '/s')).toBe('23 600/s');
    expect(formatValue(1_234_567, '/s')).toBe('1 234 567/s');
    expect(formatValue(2.154, 'ms')).toBe('2.15 ms');
    expect(formatValue(47.06, 'ms')).toBe('47.1 ms');
    expect(formatValue(999.6, 'MB')).toBe('1 000 MB');
    expect(formatValue(Number.NaN, 'ms')).toBe('– ms');
    expect(formatSpread([3, 1, 2], 's')).toBe('2.00 s (1.00 – 3.00)');
    expect(formatSpread([3], 's')).toBe('3.00 s');
  });

  test('each figure stands beside its peers, and columns line up', () => {
    const text = renderTable([
      {
        topic: 'accept',
        figures: [
          {
            name: 'orders',
            unit: '/s',
            values: [500, 600],
            peers: [
              { name: 'bare', values: [1000, 1200] },
              { name: 'rows', values: [250, 300] },
            ],
          },
          { name: 'redis', unit: '/s', values: [], peers: [], note: 'no redis-server' },
        ],
      },
    ]);
    const lines = text.split('\n');
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
    const cells = lines.map((line) => line.split('|').map((cell) => cell.trim()));
    expect(cells[2]?.[1]).toBe('**accept**');
    expect(cells[3]).toEqual([
      '',
      'orders',
      '550/s (500 – 600)',
      'bare',
      '1 100/s (1 000 – 1 200)',
      '0.50',
      '',
    ]);
    expect(cells[4]).toEqual(['', '', '', 'rows', '275/s (250 – 300)', '2.00', '']);
    expect(cells[5]).toEqual(['', 'redis', 'not run', 'no redis-server', '', '', '']);
  });

  test('a section is replaced between its marks, and only there', () => {
    const document = 'before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n';
    const once = replaceSection(document, 'new');
    expect(once).toBe('before\n<!-- table: begin -->\n\nnew\n\n<!-- table: end -->\nafter\n');
    expect(replaceSection(once, 'new')).toBe(once);
    expect(() => replaceSection('no marks', 'new')).toThrow('table: begin');
  });
});

describe('arguments', () => {
  test('nothing given means everything', () => {
    expect(parseArguments([])).toEqual({
      command: 'run',
      topics: TOPICS,
      seconds: 5,
      rounds: 3,
      orders: 1_000_000,
      json: undefined,
      write: false,
      databaseUrl: undefined,
    });
  });

  test('topics run in the order of the table', () => {
    const given = parseArguments([
      'bus',
      'accept',
      '--seconds',
      '1',
      '--json',
      'a.json',
      '--write',
    ]);
    expect(given).toMatchObject({
      topics: ['accept', 'bus'],
      seconds: 1,
      json: 'a.json',
      write: true,
    });
  });

  test.each([
    [['speed'], 'There is no topic "speed"'],
    [['--seconds', '0'], '--seconds'],
    [['--rounds', '1.5'], '--rounds'],
    [['--seconds', 'x'], '--seconds'],
    [['load'], '--database-url'],
    [['load', 'bus', '--database-url', 'postgres://x'], 'no topics'],
    [['--database-url', 'postgres://x'], 'load alone'],
    [['--fast'], '--fast'],
  ])('%j is refused with a sentence', (argv, message) => {
    expect(() => parseArguments(argv)).toThrow(message);
  });

  test('load takes a number of orders', () => {
    const given = parseArguments(['load', '--orders', '10', '--database-url', 'postgres://x/y']);
    expect(given).toMatchObject({ command: 'load', orders: 10, databaseUrl: 'postgres://x/y' });
  });
});

test('the bare route starts, checks and answers as the real one does', async () => {
  await using stack = new AsyncDisposableStack();
  const { url } = await startBareRoute(stack);
  const post = (body: string) =>
    fetch(`${url}/api/v1/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
  expect((await post(ORDER_BODY)).status).toBe(202);
  expect((await post('{}')).status).toBe(400);
});
