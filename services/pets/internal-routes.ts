/** Between services: reserve, sell and release a pet. */
import { route, type Route } from '@waybill/kit/route.ts';
import { Type } from '@waybill/kit/schema.ts';
import type { PetsContext } from './context.ts';
import {
  PetStanding,
  Reservation,
  ReservationList,
  ReserveReply,
  ReserveRequest,
  SettleRequest,
} from './contract.ts';
import { release, reserve, sell } from './reservations.ts';
import { findReservation, listHeld, renderReservation } from './store.ts';
import { listStandings } from './views.ts';
import { Refusal } from '@waybill/kit/errors.ts';

const InternalPath = Type.Object(
  { id: Type.Integer({ minimum: 1 }) },
  { additionalProperties: false },
);
const internal = { internal: true, access: ['service'] } as const;

export const internalRoutes: readonly Route<PetsContext>[] = [
  route({
    ...internal,
    method: 'POST',
    path: '/internal/pets/{id}/reserve',
    summary: 'Reserve a pet for an order; its event creates the order.',
    params: InternalPath,
    body: ReserveRequest,
    replies: { 200: ReserveReply },
    refusals: {
      '404 pet_not_found': 'there is no such pet',
      '409 pet_not_available': 'somebody else has it, or the reservation was released',
    },
    async handle({ params, body }, context: PetsContext) {
      return { status: 200, body: await reserve(context, params.id, body) };
    },
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/pets/{id}/release',
    summary: 'Release a reservation, also one that never came.',
    params: InternalPath,
    body: SettleRequest,
    replies: { 200: Reservation },
    refusals: {
      '404 pet_not_found': 'there is no such pet',
      '404 reservation_not_found': 'the reservation is of another pet',
    },
    async handle({ params, body }, context: PetsContext) {
      return { status: 200, body: await release(context, params.id, body.reservation_id) };
    },
  }),
  route({
    ...internal,
    method: 'POST',
    path: '/internal/pets/{id}/sell',
    summary: 'Sell a pet to the order that holds it.',
    params: InternalPath,
    body: SettleRequest,
    replies: { 200: Reservation },
    refusals: {
      '404 reservation_not_found': 'there is none, or it is of another pet',
      '409 reservation_released': 'it was released before',
    },
    async handle({ params, body }, context: PetsContext) {
      return { status: 200, body: await sell(context, params.id, body.reservation_id) };
    },
  }),
  route({
    ...internal,
    method: 'GET',
    path: '/internal/pets/standings',
    summary: 'Every pet that ever was, with its status, by id.',
    query: Type.Object(
      { after: Type.Optional(Type.Integer({ minimum: 0, description: 'The last id so far.' })) },
      { additionalProperties: false },
    ),
    replies: { 200: PetStanding },
    async handle({ query }, { db }: PetsContext) {
      return { status: 200, body: { standings: await listStandings(db, query.after ?? 0) } };
    },
  }),
  route({
    ...internal,
    method: 'GET',
    path: '/internal/pets/reservations',
    summary: 'Reservations that are held, the oldest first.',
    query: Type.Object(
      {
        older_than: Type.Optional(
          Type.Integer({ minimum: 0, maximum: 1_000_000_000, default: 0, description: 'Seconds' }),
        ),
      },
      { additionalProperties: false },
    ),
    replies: { 200: ReservationList },
    async handle({ query }, { db }: PetsContext) {
      const rows = await listHeld(db, query.older_than ?? 0, 1000);
      return { status: 200, body: { reservations: rows.map(renderReservation) } };
    },
  }),
  route({
    ...internal,
    method: 'GET',
    path: '/internal/pets/reservations/{id}',
    summary: 'What became of a reservation.',
    params: Type.Object(
      { id: Type.String({ format: 'uuid', maxLength: 36 }) },
      { additionalProperties: false },
    ),
    replies: { 200: Reservation },
    refusals: { '404 reservation_not_found': 'there is none' },
    async handle({ params }, { db }: PetsContext) {
      const row = await findReservation(db, params.id);
      if (row === undefined)
        throw new Refusal(404, 'reservation_not_found', 'There is no such reservation.');
      return { status: 200, body: renderReservation(row) };
    },
  }),
];
