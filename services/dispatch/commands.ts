/** What can be done with assignments: assign, reassign, cancel, report how it goes. */
import type { Queryable, Tx } from '@waybill/kit/db.ts';
import { Outage, Refusal, toProblem } from '@waybill/kit/errors.ts';
import { claimKey, findKept, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { isStaff, type Identity } from '@waybill/kit/identity.ts';
import { tellAssigned, type ToStore } from './assigning.ts';
import type { Assign, Assignment, AssignmentEventType, AssignmentState } from './contract.ts';
import type { DispatchContext } from './context.ts';
import { costOf, decimalOf, isFinished, originsOf, refuseProgress, type Decimal } from './rules.ts';
import { Nothing, type Knowledge } from './sources.ts';
import {
  insertAssignments,
  replaceAssignment,
  reportProgress,
  type AssignmentRow,
  type NewAssignment,
} from './store.ts';
import { findAssignment, hasHeld, renderAssignment } from './views.ts';

/** An answer, kept or new. */
export interface Answered {
  readonly body: string;
  readonly replayed: boolean;
}

/** Assigns an order, or replaces an assignment that nobody has acquired (spec chapter D). */
export async function assign(
  context: DispatchContext,
  identity: Identity,
  request: Assign,
  idempotency: IdempotencyKey | undefined,
): Promise<Answered> {
  const { db } = context;
  const replace = mayReplace(identity, request);
  const kept = await keptAnswer(context, idempotency);
  if (kept !== undefined) return kept;
  await context.assigning.begin();
  const row = await priceAssignment(context, String(request.order_id), request.executor_id);
  if (idempotency === undefined) {
    const stored = await context.assigning.store({ row, replace });
    if (stored === undefined) throw await tooLate(db, row.order_id);
    return { body: JSON.stringify(renderAssignment(stored)), replayed: false };
  }
  return db.transaction(async (tx) => {
    const known = await claimKey(tx, idempotency);
    if (known !== undefined) return { body: known.response, replayed: true };
    const [stored] = await insertAssignments(tx, [row], replace ? [row.order_id] : []);
    // A refusal rolls the key back with it.
    if (stored === undefined) throw await tooLate(tx, row.order_id);
    const body = JSON.stringify(renderAssignment(stored));
    await keepAnswer(tx, idempotency, { status: 201, response: body });
    tx.onCommit(() => tellAssigned([stored]));
    return { body, replayed: false };
  });
}

const NUMBER = /^[1-9][0-9]{0,15}$/;

/**
 * The id of an order that a path names by id or number. A number is asked about where assignments
 * ask about their orders: an index of numbers would cost every poll that gets something.
 */
export async function orderIdOf(context: DispatchContext, given: string): Promise<string> {
  const id = given.normalize('NFC');
  if (!NUMBER.test(id) || (await findAssignment(context.db, id)) !== undefined) return id;
  try {
    return String((await context.fetchOrder(id))['order_id']);
  } catch (error) {
    if (error instanceof Nothing) return id;
    throw error;
  }
}

/** How often a request looks again at an assignment that changes under its hands. */
const LOOKS = 5;

/** Gives an assignment that nobody has acquired to another executor, at a new cost. */
export async function reassign(
  context: DispatchContext,
  orderId: string,
  executorId: string,
): Promise<Assignment> {
  for (let look = 0; look < LOOKS; look++) {
    const current = await findAssignment(context.db, orderId);
    if (current?.state !== 'ASSIGNED') throw refusalOf(current, 'reassigned');
    const row = await priceAssignment(context, orderId, executorId);
    const stored = await context.db.transaction((tx) => replaceAssignment(tx, row));
    if (stored !== undefined) {
      tellAssigned([stored]);
      return renderAssignment(stored);
    }
  }
  throw everChanging();
}

/** Cancels an assignment that nobody has acquired, within ten minutes. */
export async function cancelAssignment(
  context: DispatchContext,
  orderId: string,
): Promise<Assignment> {
  await context.assigning.begin();
  let seen: number | undefined;
  for (let look = 0; look < LOOKS; look++) {
    const row = await context.assigning.cancel(orderId);
    if (row !== undefined) return renderAssignment(row);
    const current = await findAssignment(context.db, orderId);
    if (current?.state !== 'ASSIGNED') throw refusalOf(current, 'cancelled');
    // It may have been assigned after it could not be cancelled. What was there before, and could
    // not be either, is too old by the database's clock.
    if (current.version === seen)
      throw new Refusal(
        409,
        'cancel_window_closed',
        `An assignment may be cancelled for ten minutes: until ${current.cancellable_until}.`,
      );
    seen = current.version;
  }
  throw everChanging();
}

function everChanging(): Outage {
  return new Outage('assignment', 'it changes whenever it is looked at');
}

/** Why what is there now can no longer be taken back. */
function refusalOf(current: AssignmentRow | undefined, done: string): Refusal {
  if (current === undefined || current.state === 'CANCELLED' || current.state === 'REPLACED')
    return new Refusal(404, 'assignment_not_found', 'This order is not assigned.');
  return new Refusal(
    409,
    'already_acquired',
    `The executor has acquired the order; it can no longer be ${done}.`,
  );
}

/** Why nothing was stored. */
async function tooLate(db: Queryable, orderId: string): Promise<Refusal> {
  const current = await findAssignment(db, orderId);
  if (current !== undefined && current.acquired_at !== null && current.ended_at === null)
    return refusalOf(current, 'given to somebody else');
  return orderFinished();
}

function orderFinished(): Refusal {
  return new Refusal(409, 'order_finished', 'Nobody has to carry this order any more.');
}

function mayReplace(identity: Identity, request: Assign): boolean {
  if (request.replace_acquired !== true) return false;
  if (identity.roles.some((role) => role === 'operator' || role === 'admin')) return true;
  throw new Refusal(
    403,
    'replace_not_allowed',
    'Only an operator may take an order from whoever has acquired it.',
  );
}

async function keptAnswer(
  { db }: DispatchContext,
  idempotency: IdempotencyKey | undefined,
): Promise<Answered | undefined> {
  if (idempotency === undefined) return undefined;
  const kept = await findKept(db, idempotency);
  return kept === undefined ? undefined : { body: kept.response, replayed: true };
}

/** Asks the sources, and makes of what they say the assignment with its cost. */
export async function priceAssignment(
  { fetchSources }: DispatchContext,
  orderId: string,
  executorId: string,
  how = { fresh: false },
): Promise<NewAssignment> {
  const executor = executorId.normalize('NFC');
  const known = await fetchSources(orderId.normalize('NFC'), executor, how).catch(
    (error: unknown) => {
      throw unknownOf(error);
    },
  );
  const { general_order_info: order, zone_info: zone, ...others } = known;
  const info = order.data as { order_id: string; number?: unknown; status?: unknown };
  if (isFinished(typeof info.status === 'string' ? info.status : null)) throw orderFinished();
  const currency = String(order.data['currency']);
  const { costMinor, breakdown } = costOf({
    base: exact(order.data['base_amount']),
    coefficient: exact(zone.data['coin_coeff']),
    maximum: decimalOf(others.assign_order_configs.data['max_coin_coeff']),
    bonus: exact(others.toll_roads_info.data['bonus_amount']),
    currency,
  });
  return {
    order_id: info.order_id,
    number: Number.isSafeInteger(info.number) ? (info.number as number) : null,
    executor_id: executor,
    cost_minor: costMinor,
    currency,
    cost_breakdown: breakdown,
    order_info: order.data,
    sources: sourcesOf(known),
  };
}

/** The order itself is told beside its sources, not among them. */
function sourcesOf({ general_order_info: { origin, at }, ...others }: Knowledge): object {
  return { general_order_info: { origin, at }, ...others };
}

function exact(value: unknown): Decimal {
  const decimal = decimalOf(value);
  if (decimal === undefined) throw new Error('a source answered what it may not');
  return decimal;
}

function unknownOf(error: unknown): unknown {
  if (!(error instanceof Nothing)) return error;
  if (error.source === 'general_order_info')
    return new Refusal(404, 'unknown_order', 'There is no such order.');
  return new Refusal(422, 'unknown_executor', 'There is no such executor.', {
    faults: [{ pointer: '/executor_id', detail: 'must be an executor that is registered' }],
  });
}

export interface BulkOutcome {
  readonly order_id: string;
  readonly executor_id: string;
  readonly status: number;
  readonly assignment?: Assignment;
  readonly code?: string;
  readonly detail?: string;
}

/** Assigns many, each with its own outcome; what can be stored is stored at once. */
export async function assignMany(
  context: DispatchContext,
  identity: Identity,
  requests: readonly Assign[],
  idempotency: IdempotencyKey | undefined,
): Promise<Answered> {
  const kept = await keptAnswer(context, idempotency);
  if (kept !== undefined) return kept;
  const priced = await Promise.all(requests.map((request) => priceOne(context, identity, request)));
  const chosen = new Map<string, ToStore>();
  for (const one of priced)
    if ('row' in one && !chosen.has(one.row.order_id)) chosen.set(one.row.order_id, one);
  const rows = [...chosen.values()].map(({ row }) => row);
  const replacing = [...chosen.values()].filter((one) => one.replace);
  return context.db.transaction(async (tx) => {
    const known = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (known !== undefined) return { body: known.response, replayed: true };
    const stored = await insertAssignments(
      tx,
      rows,
      replacing.map(({ row }) => row.order_id),
    );
    const byOrder = new Map(stored.map((row) => [row.order_id, row]));
    const late = new Map<string, Refusal>();
    for (const { order_id } of rows)
      if (!byOrder.has(order_id)) late.set(order_id, await tooLate(tx, order_id));
    const results = priced.map((one, index): BulkOutcome => {
      const { order_id, executor_id } = requests[index] as Assign;
      const asked = { order_id: String(order_id), executor_id };
      if (!('row' in one)) return { ...asked, ...one };
      if (chosen.get(one.row.order_id) !== one)
        return refused(asked, new Refusal(409, 'repeated_order', 'The order is named before.'));
      const refusal = late.get(one.row.order_id);
      if (refusal !== undefined) return refused(asked, refusal);
      const row = byOrder.get(one.row.order_id) as AssignmentRow;
      return { ...asked, status: 201, assignment: renderAssignment(row) };
    });
    const body = JSON.stringify({ results });
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 200, response: body });
    tx.onCommit(() => tellAssigned(stored));
    return { body, replayed: false };
  });
}

type NotStored = Pick<BulkOutcome, 'status' | 'code' | 'detail'>;

async function priceOne(
  context: DispatchContext,
  identity: Identity,
  request: Assign,
): Promise<ToStore | NotStored> {
  try {
    const replace = mayReplace(identity, request);
    const row = await priceAssignment(context, String(request.order_id), request.executor_id);
    return { row, replace };
  } catch (error) {
    if (!(error instanceof Refusal) && !(error instanceof Outage)) throw error;
    const { status, code, detail } = toProblem(error);
    return { status, code, detail };
  }
}

function refused(asked: { order_id: string; executor_id: string }, refusal: Refusal): BulkOutcome {
  return { ...asked, status: refusal.status, code: refusal.code, detail: refusal.message };
}

export interface Report {
  readonly executorId: string;
  readonly orderId: string;
  readonly epoch: number;
  readonly to: 'PICKED_UP' | 'DELIVERED' | 'FAILED';
  readonly reason: string | null;
}

/** Records how an executor got on. The same report again is answered as before. */
export function report(
  { db }: DispatchContext,
  asked: Report,
  idempotency: IdempotencyKey | undefined,
): Promise<Answered> {
  return db.transaction(async (tx) => {
    const known = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (known !== undefined) return { body: known.response, replayed: true };
    const body = JSON.stringify(await record(tx, asked));
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 200, response: body });
    return { body, replayed: false };
  });
}

async function record(
  tx: Tx,
  { executorId, orderId, epoch, to, reason }: Report,
): Promise<Assignment> {
  const event: AssignmentEventType = `ASSIGNMENT_${to}`;
  const from: readonly AssignmentState[] = originsOf(to);
  const report = { orderId, executorId, epoch, to, from, event, reason };
  const moved = await reportProgress(tx, report);
  if (moved !== undefined) return renderAssignment(moved);
  const current = await findAssignment(tx, orderId);
  const isTheirs = current !== undefined && current.executor_id === executorId;
  if (isTheirs && current.epoch === epoch) {
    if (current.state === to) return renderAssignment(current);
    if (current.state !== 'ASSIGNED') throw refuseProgress(current.state, to);
    throw new Refusal(409, 'not_acquired', 'Acquire the order first.');
  }
  if (isTheirs || (await hasHeld(tx, executorId, orderId)))
    throw new Refusal(409, 'old_epoch', 'The order was assigned anew since; this epoch is over.');
  throw new Refusal(404, 'assignment_not_found', 'This executor does not have this order.');
}

/** Staff, or the executor themselves; to others there is no such executor. */
export function refuseForeign(identity: Identity, executorId: string): void {
  if (isStaff(identity)) return;
  if (identity.executorId?.normalize('NFC') === executorId) return;
  throw new Refusal(404, 'executor_not_found', 'There is no such executor.');
}
