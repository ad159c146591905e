/** What a client was told, and is not so. */
import { lives } from '../clean-books.ts';
import { nobody, type Plant, type Row } from './plant.ts';

const about = (op: string, life: keyof typeof lives) => (call: Row) =>
  call['op'] === op && call['order_id'] === lives[life].id;
const change =
  (which: (call: Row) => boolean, what: Row) =>
  (calls: Row[]): Row[] =>
    calls.map((call) => (which(call) ? { ...call, ...what } : call));
const add = (call: Row) => (calls: Row[]) => [
  ...calls,
  { client: 'one', outcome: 'ok', seq: calls.length + 1, ...call },
];
const unknown = { outcome: 'unknown', order_id: null, http: null };

export const clientFaults: readonly Plant[] = [
  {
    check: 'accepted-order-missing',
    name: 'it is not there',
    calls: add({ op: 'create', http: 202, order_id: nobody }),
  },
  {
    check: 'accepted-order-missing',
    name: 'the answer named none',
    calls: add({ op: 'create', http: 202 }),
  },
  {
    check: 'order-unasked',
    name: 'nobody called',
    calls: (calls) => calls.filter((call) => !about('create', 'declined')(call)),
  },
  {
    check: 'order-unasked',
    name: 'the call was refused',
    calls: change(about('create', 'declined'), { outcome: 'fail', http: 422, order_id: null }),
  },
  {
    check: 'order-unasked',
    name: 'one lost answer, two orders',
    calls: (calls) =>
      change(about('create', 'declined'), { ...unknown, idem_key: null })(
        calls.filter((call) => !about('create', 'confirmed')(call)),
      ),
  },
  {
    check: 'key-with-two-orders',
    name: 'a repeat made another one',
    calls: change(about('create', 'declined'), { idem_key: `key-${lives.confirmed.id}` }),
  },
  {
    check: 'accepted-order-not-found',
    name: 'a read came after the answer',
    calls: change((call) => about('get', 'declined')(call) && call['version'] === 1, {
      outcome: 'fail',
      http: 404,
    }),
  },
  {
    check: 'version-went-back',
    name: 'a later read was older',
    calls: add({ op: 'get', http: 200, order_id: lives.declined.id, version: 2 }),
  },
  {
    check: 'cancellation-not-kept',
    name: 'it is confirmed',
    calls: add({ op: 'cancel', http: 202, order_id: lives.confirmed.id }),
  },
];

/** What a client may well see on a good day, and no check may speak up about. */
export const harmless: readonly Omit<Plant, 'check'>[] = [
  {
    name: 'an answer that was lost, with a key',
    calls: change(about('create', 'declined'), unknown),
  },
  {
    name: 'an answer that was lost, without a key',
    calls: change(about('create', 'declined'), { ...unknown, idem_key: null }),
  },
  {
    name: 'a repeat that was answered with the first order',
    calls: add({
      op: 'create',
      http: 202,
      order_id: lives.declined.id,
      idem_key: `key-${lives.declined.id}`,
    }),
  },
  {
    name: 'a read of another client before the answer',
    calls: add({
      client: 'two',
      op: 'get',
      outcome: 'fail',
      http: 404,
      order_id: lives.declined.id,
    }),
  },
  {
    name: 'two clients that read at different times',
    calls: add({ client: 'two', op: 'get', http: 200, order_id: lives.declined.id, version: 1 }),
  },
];
