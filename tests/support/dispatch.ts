/** Dispatch in a test: beside orders that a test speaks for. */
import { emit } from '@waybill/kit/eventlog.ts';
import { newId } from '@waybill/kit/ids.ts';
import { route } from '@waybill/kit/route.ts';
import { FindOrders } from '@waybill/orders/contract.ts';
import { defineService, type ServiceContext } from '@waybill/kit/service.ts';
import { queryRows } from './database.ts';
import type { CallOptions, Running } from './service.ts';

export interface StandInOrder {
  id: string;
  number: number;
  status: string;
  total_amount: number;
}

/** As orders tells of it, as far as dispatch asks. */
function shown(order: StandInOrder): object {
  return {
    ...order,
    channel: 'delivery',
    currency: 'USD',
    reference: null,
    fulfillment: { method: 'courier', address: '1 Main Street' },
    items: [{ item_id: 'a', item_name: 'A', quantity: 1, price: order.total_amount }],
  };
}

/** Stands where orders stands: what it knows of orders, and what it tells of them. */
export function createStandInOrders() {
  const orders = new Map<string, StandInOrder>();
  const versions = new Map<string, number>();
  let context: ServiceContext | undefined;
  let isDown = false;
  let calls = 0;
  let meanwhile: (() => Promise<unknown>) | undefined;
  const service = defineService({
    name: 'orders',
    description: 'Orders that a test speaks for.',
    paths: ['/api/v1/orders'],
    settings: {},
    migrations: {},
    create: (base) => (context = base),
    routes: [
      route({
        method: 'POST',
        path: '/internal/orders/find',
        access: ['service'],
        summary: 'Orders.',
        internal: true,
        body: FindOrders,
        replies: { 200: { description: 'The orders.' } },
        async handle({ body: { ids } }) {
          calls++;
          if (isDown) throw new Error('the stand-in is down');
          const found = ids.map((id) => orders.get(id));
          const body = { orders: found.map((order) => (order ? shown(order) : null)) };
          const work = meanwhile;
          meanwhile = undefined;
          await work?.();
          return { status: 200, body };
        },
      }),
    ],
    consumers: [],
    tasks: [],
    sweeps: [],
  });
  return {
    service,
    calls: () => calls,
    down: (down: boolean) => void (isDown = down),
    /** Done once, between the next look at an order and the answer that tells of it. */
    meanwhile: (work: () => Promise<unknown>) => void (meanwhile = work),
    /** A new order, CONFIRMED unless told otherwise. */
    place(changes: Partial<StandInOrder> = {}): StandInOrder {
      const order = {
        id: newId(),
        number: 1_000_000_000 + orders.size,
        status: 'CONFIRMED',
        total_amount: 4.4,
        ...changes,
      };
      orders.set(order.id, order);
      return order;
    },
    /** Tells news of an order, after making them true. */
    async tell(order: StandInOrder, type: string, changes: Partial<StandInOrder> = {}) {
      Object.assign(order, changes);
      const version = (versions.get(order.id) ?? 0) + 1;
      versions.set(order.id, version);
      await context?.db.transaction((tx) =>
        emit(tx, 'orders', [{ key: order.id, version, type, data: { order_id: order.id } }]),
      );
    },
  };
}

const BASE = '/api/v1/dispatch';

/** The doors of dispatch, as short as tests want them. */
export function dispatchDoors(running: Running) {
  const call =
    (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string) =>
    (options: CallOptions = {}) =>
      running.call(method, BASE + path, options);
  const post = (path: string, body?: unknown, options: CallOptions = {}) =>
    call('POST', path)({ ...(body === undefined ? {} : { body }), ...options });
  return {
    call: (
      method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
      path: string,
      options: CallOptions = {},
    ) => call(method, path)(options),
    async register(executorId = `executor-${newId()}`, more: object = {}): Promise<string> {
      const body = { executor_id: executorId, name: 'Ada', tags: ['bike'], rating: 4.8, ...more };
      const { status } = await post('/executors', body);
      if (status !== 201) throw new Error(`the executor was not registered: ${status}`);
      return executorId;
    },
    assign: (orderId: string, executorId: string, more: object = {}, options: CallOptions = {}) =>
      post('/assignments', { order_id: orderId, executor_id: executorId, ...more }, options),
    reassign: (orderId: string, executorId: string) =>
      call('PUT', `/assignments/${orderId}`)({ body: { executor_id: executorId } }),
    cancel: (orderId: string) => call('DELETE', `/assignments/${orderId}`)(),
    read: (orderId: string) => call('GET', `/assignments/${orderId}`)(),
    acquire: (executorId: string, query = '', options: CallOptions = {}) =>
      post(`/executors/${encodeURIComponent(executorId)}/acquire${query}`, undefined, options),
    report: (executorId: string, orderId: string, word: string, epoch: number, more = {}) =>
      post(`/executors/${executorId}/orders/${orderId}/${word}`, { epoch, ...more }),
    /** Lets time pass for an assignment, by the database. */
    async age(orderId: string, interval: string): Promise<void> {
      for (const table of ['assignments', 'past_assignments'])
        await queryRows(
          running.databaseUrl,
          `update dispatch.${table} set assigned_at = assigned_at - $2::interval,
             acquired_at = acquired_at - $2::interval, ended_at = ended_at - $2::interval
           where order_id = $1`,
          [orderId, interval],
        );
    },
  };
}
