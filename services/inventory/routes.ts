/** Counts of pets, stock for the desk, and reservations of stock for other services. */
import { Refusal } from '@waybill/kit/errors.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import { Type } from '@waybill/kit/schema.ts';
import {
  adjustStock,
  askForRebuild,
  deductStock,
  findReservation,
  releaseStock,
  reserveStock,
  setStock,
  type Kept,
} from './commands.ts';
import type { InventoryContext } from './context.ts';
import {
  AdjustStock,
  DeductStock,
  PetCounts,
  Rebuild,
  ReservationPath,
  ReserveStock,
  SetStock,
  StockItem,
  StockList,
  StockPath,
  StockQuery,
  StockReservation,
} from './contract.ts';
import { findStock, readPetCounts, renderStock } from './store.ts';
import { listStock } from './views.ts';

const desk = ['operator', 'admin'] as const;

const petRoutes: readonly Route<InventoryContext>[] = [
  route({
    method: 'GET',
    path: '/api/v3/store/inventory',
    access: ['customer', 'operator', 'admin', 'service'],
    summary: 'Pets by status, in the words of the petstore.',
    query: Type.Object({}, { additionalProperties: true }),
    replies: { 200: PetCounts },
    async handle(_call, { db }: InventoryContext) {
      const counts = await readPetCounts(db);
      const [available = 0, pending = 0, sold = 0] = ['available', 'reserved', 'sold'].map(
        (status) => counts.get(status),
      );
      return { status: 200, body: { available, pending, sold } };
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/inventory/pets/rebuild',
    access: desk,
    summary: 'Makes the counts of pets anew, from the log of pets.',
    replies: { 202: Rebuild },
    async handle(_call, context: InventoryContext) {
      await askForRebuild(context);
      return { status: 202, body: { state: 'rebuilding' } };
    },
  }),
];

const stockRefusals = {
  '409 below_reserved': 'more is held by reservations',
  '409 too_much_stock': 'more than can be counted',
};

const stockRoutes: readonly Route<InventoryContext>[] = [
  route({
    method: 'GET',
    path: '/api/v1/inventory/stock',
    access: [...desk, 'service'],
    summary: 'Stock by SKU, by page or cursor.',
    query: StockQuery,
    replies: { 200: StockList },
    refusals: {
      '422 invalid_cursor': 'the cursor belongs to another list',
      '422 page_too_deep': 'go on by cursor',
    },
    async handle({ query }, context: InventoryContext) {
      const list = await listStock(context.db, context.key('cursor'), query);
      return { status: 200, body: list };
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/inventory/stock/{sku}',
    access: [...desk, 'service'],
    summary: 'What there is of a SKU.',
    params: StockPath,
    replies: { 200: StockItem },
    refusals: { '404 sku_not_found': 'inventory does not know it' },
    async handle({ params }, { db }: InventoryContext) {
      const row = await findStock(db, params.sku.normalize('NFC'));
      if (row === undefined) throw new Refusal(404, 'sku_not_found', 'There is no such SKU.');
      return { status: 200, body: renderStock(row) };
    },
  }),
  route({
    method: 'PUT',
    path: '/api/v1/inventory/stock/{sku}',
    access: desk,
    summary: 'Say how much of a SKU is on hand; a new SKU is known from then on.',
    params: StockPath,
    body: SetStock,
    replies: { 200: StockItem },
    refusals: stockRefusals,
    async handle({ params, body }, context: InventoryContext) {
      return replyWith(await setStock(context, params.sku, body.on_hand));
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/inventory/stock/{sku}/adjust',
    access: desk,
    summary: 'Add to what is on hand of a SKU, or take from it.',
    params: StockPath,
    body: AdjustStock,
    idempotent: true,
    replies: { 200: StockItem },
    refusals: { '404 sku_not_found': 'inventory does not know it', ...stockRefusals },
    async handle({ params, body, idempotency }, context: InventoryContext) {
      return replyWith(await adjustStock(context, params.sku, body.by, idempotency));
    },
  }),
];

function replyWith({ item, replayed }: Kept) {
  return { status: 200, body: item, headers: replayed ? { 'idempotent-replayed': 'true' } : {} };
}

const internal = { internal: true, access: ['service'] } as const;
const ended = {
  '409 reservation_released': 'it was released before',
  '409 reservation_expired': 'its time was up',
};

const reservationRoutes: readonly Route<InventoryContext>[] = [
  route({
    ...internal,
    method: 'POST',
    path: '/internal/inventory/reservations',
    summary: 'Reserve stock: all of it or nothing, once per reservation_id.',
    body: ReserveStock,
    replies: { 200: StockReservation },
    refusals: {
      ...ended,
      '409 insufficient_stock': 'there is not enough; the faults tell how much there is',
      '422 unknown_sku': 'inventory does not know a SKU',
      '422 reservation_differs': 'the id was used with other lines',
    },
    handle: async ({ body }, context: InventoryContext) => ({
      status: 200,
      body: await reserveStock(context, body),
    }),
  }),
  route({
    ...internal,
    method: 'GET',
    path: '/internal/inventory/reservations/{id}',
    summary: 'A reservation of stock.',
    params: ReservationPath,
    replies: { 200: StockReservation },
    refusals: { '404 reservation_not_found': 'there is none' },
    handle: async ({ params }, context: InventoryContext) => ({
      status: 200,
      body: await findReservation(context, params.id),
    }),
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/inventory/reservations/{id}/release',
    summary: 'Give back what is held; a reservation that never came never will.',
    params: ReservationPath,
    replies: { 200: StockReservation },
    refusals: { '409 reservation_deducted': 'all of it left the house' },
    handle: async ({ params }, context: InventoryContext) => ({
      status: 200,
      body: await releaseStock(context, params.id),
    }),
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/inventory/reservations/{id}/deduct',
    summary: 'Take what left the house off the stock, once per deduction_id.',
    params: ReservationPath,
    body: DeductStock,
    replies: { 200: StockReservation },
    refusals: {
      ...ended,
      '404 reservation_not_found': 'there is none',
      '409 reservation_deducted': 'all of it left the house before',
      '409 exceeds_reservation': 'more than is held',
      '422 deduction_differs': 'the id was used for something else',
    },
    handle: async ({ params, body }, context: InventoryContext) => ({
      status: 200,
      body: await deductStock(context, params.id, body),
    }),
  }),
];

export const routes: readonly Route<InventoryContext>[] = [
  ...petRoutes,
  ...stockRoutes,
  ...reservationRoutes,
];
