/** Searches by status and tags. */
import { beforeAll, expect, test } from 'vitest';
import { newId } from '@waybill/kit/ids.ts';
import { queryRows } from '../../tests/support/database.ts';
import { startServices, type Running } from '../../tests/support/service.ts';
import type { Pet } from './contract.ts';
import { pets } from './index.ts';

let running: Running;

beforeAll(async () => {
  running = await startServices([pets]);
});

const rex = { name: 'Rex', photoUrls: [] };
const at = '/api/v3/pet';

async function added(body: object): Promise<number> {
  return Number((await running.call('POST', at, { body })).body['id']);
}

const find = async (query: string) => {
  const answer = await running.call('GET', `${at}/${query}`, { as: null });
  return { ...answer, ids: (answer.body as unknown as Pet[]).map(({ id }) => id) };
};

test('by status takes one, several by comma, several by repetition, or available', async () => {
  const available = await added({ ...rex, status: 'available' });
  const pending = await added({ ...rex, status: 'pending' });
  const sold = await added({ ...rex, status: 'sold' });
  const mine = async (query: string) =>
    (await find(`findByStatus${query}`)).ids.filter((id) =>
      [available, pending, sold].includes(id),
    );
  expect(await mine('')).toEqual([available]);
  expect(await mine('?status=pending')).toEqual([pending]);
  expect(await mine('?status=pending,sold')).toEqual([pending, sold]);
  expect(await mine('?status=sold&status=available')).toEqual([available, sold]);
  expect(await mine('?status=sold&status=sold,%20pending')).toEqual([pending, sold]);
});

test.each(['reserved', 'x', '', 'available,x', 'AVAILABLE', '%00'])(
  'by the status "%s" is refused',
  async (status) => {
    const answer = await running.call('GET', `${at}/findByStatus?status=${status}`);
    expect(answer.status).toBe(status === '%00' ? 422 : 400);
  },
);

test('by tags takes any of several, and forgets the tags of before', async () => {
  const [red, blue] = [newId(), newId()];
  const one = await added({ ...rex, tags: [{ name: red }, { name: red }] });
  const two = await added({ ...rex, tags: [{ name: blue }] });
  expect((await find(`findByTags?tags=${red}`)).ids).toEqual([one]);
  expect((await find(`findByTags?tags=${red},${blue}`)).ids).toEqual([one, two]);
  expect((await find(`findByTags?tags=${blue}&tags=${red}`)).ids).toEqual([one, two]);
  expect((await find(`findByTags?tags=${newId()}`)).ids).toEqual([]);
  await running.call('PUT', at, { body: { id: one, ...rex, tags: [{ name: blue }] } });
  await running.call('DELETE', `${at}/${two}`);
  expect((await find(`findByTags?tags=${red},${blue}`)).ids).toEqual([one]);
  for (const query of ['', '?tags=', '?tags=,'])
    expect((await running.call('GET', `${at}/findByTags${query}`)).status).toBe(400);
});

test('is bounded, and its Link leads through all of them once', async () => {
  const tag = newId();
  await queryRows(
    running.databaseUrl,
    `with made as (
       insert into pets.pets (id, name, photo_urls, tags, status, version)
       select 700000000 + n, 'Many', '[]', '[]', 'sold', 1 from generate_series(1, 2500) n
       returning id)
     insert into pets.pet_tags select $1, id from made`,
    [tag],
  );
  for (const first of [`findByTags?tags=${tag}`, 'findByStatus?status=sold&status=pending']) {
    const seen: number[] = [];
    let next: string | undefined = `${at}/${first}`;
    for (let pages = 0; next !== undefined; pages++) {
      expect(pages).toBeLessThan(5);
      const page = await find(next.slice(at.length + 1));
      expect(page.ids.length).toBeLessThanOrEqual(1000);
      seen.push(...page.ids);
      next = /^<([^>]+)>; rel="next"$/.exec(String(page.headers['link']))?.[1];
    }
    expect(seen.filter((id) => id > 700_000_000 && id <= 700_002_500)).toHaveLength(2500);
    expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => a - b));
  }
  const { headers } = await find('findByStatus?status=sold');
  const cursor = /cursor=([^>&]+)/.exec(String(headers['link']))?.[1];
  const borrowed = await running.call('GET', `${at}/findByTags?tags=${tag}&cursor=${cursor}`);
  expect(borrowed).toMatchObject({ status: 422, body: { code: 'invalid_cursor' } });
});
