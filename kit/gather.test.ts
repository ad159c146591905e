import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Outage } from './errors.ts';
import { gather } from './gather.ts';

const options = {
  maxBatch: 4,
  flights: 1,
  maxWaiting: 100,
  overflow: () => new Error('too many wait'),
};

/** A batch function whose runs are ended by hand. */
function held() {
  const runs: { inputs: readonly number[]; end: (error?: Error) => void }[] = [];
  const run = (inputs: readonly number[]) =>
    new Promise<number[]>((resolve, reject) => {
      runs.push({
        inputs,
        end: (error) => (error === undefined ? resolve(inputs.map((n) => n * 10)) : reject(error)),
      });
    });
  return { runs, run };
}

const turn = () => new Promise((done) => setImmediate(done));

test('calls of one turn share a run; those that arrive meanwhile share the next', async () => {
  const { runs, run } = held();
  const call = gather(run, options);
  const first = [1, 2, 3].map(call);
  expect(runs).toEqual([]);
  await turn();
  expect(runs.map(({ inputs }) => inputs)).toEqual([[1, 2, 3]]);
  const answers = Promise.all([...first, ...[4, 5, 6].map(call)]);
  await turn();
  expect(runs).toHaveLength(1);
  runs[0]!.end();
  await turn();
  await turn();
  expect(runs[1]!.inputs).toEqual([4, 5, 6]);
  runs[1]!.end();
  expect(await answers).toEqual([10, 20, 30, 40, 50, 60]);
});

test('callers who ask again at once come to share two runs evenly', async () => {
  const { runs, run } = held();
  const call = gather(run, { ...options, maxBatch: 100 });
  const again = (n: number): void => void call(n).then(() => setImmediate(again, n));
  again(1);
  await turn();
  for (let n = 2; n <= 20; n++) again(n);
  for (let flight = 0; flight < 6; flight++) {
    runs[flight]!.end();
    await turn();
    await turn();
  }
  expect(runs.slice(3).map(({ inputs }) => inputs.length)).toEqual([10, 10, 10, 10]);
});

test('no more flights at once than allowed', async () => {
  const { runs, run } = held();
  const call = gather(run, { ...options, flights: 2 });
  const answers = Promise.all([1, 2, 3, 4, 5, 6, 7, 8, 9].map(call));
  await turn();
  expect(runs).toHaveLength(2);
  runs[1]!.end();
  await turn();
  await turn();
  expect(runs.map(({ inputs }) => inputs)).toEqual([[1, 2, 3, 4], [5, 6, 7, 8], [9]]);
  runs[0]!.end();
  runs[2]!.end();
  expect(await answers).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90]);
});

test('few calls wait for the rest between two runs, many do not', async () => {
  const sizes: number[] = [];
  const run = async (inputs: readonly number[]) => {
    sizes.push(inputs.length);
    return inputs;
  };
  const call = gather(run, { ...options, few: { below: 3, restMs: 1000 } });
  await call(1);
  const beganMs = performance.now();
  await Promise.all([2, 3].map(call));
  const restedMs = performance.now();
  expect(restedMs - beganMs).toBeGreaterThan(900);
  await Promise.all([4, 5, 6].map(call));
  expect(performance.now() - restedMs).toBeLessThan(900);
  expect(sizes.slice(0, 2)).toEqual([1, 2]);
});

test('one more than may wait is refused', async () => {
  const { runs, run } = held();
  const call = gather(run, { ...options, maxWaiting: 1 });
  const first = call(1);
  await turn();
  const second = call(2);
  await expect(call(3)).rejects.toThrow('too many wait');
  runs[0]!.end();
  await turn();
  await turn();
  runs[1]!.end();
  expect(await Promise.all([first, second])).toEqual([10, 20]);
});

describe('a batch that fails', () => {
  const failing = async (inputs: readonly number[]) => {
    if (inputs.some((n) => n < 0)) throw new Error('below zero');
    return inputs.map((n) => n * 10);
  };

  test('is run singly, so that one bad input fails alone', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: -3, max: 9 }), { maxLength: 20 }),
        async (inputs) => {
          const call = gather(failing, options);
          const results = await Promise.allSettled(inputs.map(call));
          expect(
            results.map((result) => (result.status === 'fulfilled' ? result.value : 'no')),
          ).toEqual(inputs.map((n) => (n < 0 ? 'no' : n * 10)));
        },
      ),
    );
  });

  test('fails whole, and runs once, when the error is everybody’s: an outage', async () => {
    const { runs, run } = held();
    const call = gather(run, options);
    const results = Promise.allSettled([1, 2, 3].map(call));
    await turn();
    runs[0]!.end(new Outage('database', 'away'));
    expect((await results).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
      'rejected',
    ]);
    expect(runs).toHaveLength(1);
  });

  test('fails alone for whom somebody else holds a lock', async () => {
    const { runs, run } = held();
    const call = gather(run, options);
    const results = Promise.allSettled([1, 2].map(call));
    await turn();
    const locked = new Outage('database', 'lock timeout', { cause: { code: '55P03' } });
    runs[0]!.end(locked);
    await turn();
    runs[1]!.end(locked);
    await turn();
    runs[2]!.end();
    expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });
});
