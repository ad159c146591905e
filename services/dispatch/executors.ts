/** What can be done with executors, zones and the configuration. */
import type { Tx } from '@waybill/kit/db.ts';
import { invalidBody, Refusal } from '@waybill/kit/errors.ts';
import { claimKey, keepAnswer, type IdempotencyKey } from '@waybill/kit/idempotency.ts';
import { newId } from '@waybill/kit/ids.ts';
import type { Answered } from './commands.ts';
import type {
  ChangeExecutor,
  DescribeZone,
  DispatchConfig,
  Executor,
  Location,
  RegisterExecutor,
} from './contract.ts';
import type { DispatchContext } from './context.ts';
import { decimalOf, textOf } from './rules.ts';
import {
  insertExecutor,
  locateExecutor,
  updateExecutor,
  upsertZone,
  writeMaxCoefficient,
} from './store.ts';
import { findZones, readDesk, renderExecutor } from './views.ts';

/** Registers an executor under the id that is given, or a new one. */
export async function registerExecutor(
  { db }: DispatchContext,
  request: RegisterExecutor,
  idempotency: IdempotencyKey | undefined,
): Promise<Answered> {
  return db.transaction(async (tx) => {
    const known = idempotency === undefined ? undefined : await claimKey(tx, idempotency);
    if (known !== undefined) return { body: known.response, replayed: true };
    const { executor_id = newId(), name, tags, rating, zone_id } = request;
    const id = executor_id.normalize('NFC');
    const zone = await knownZone(tx, zone_id ?? null);
    if (!(await insertExecutor(tx, { executor_id: id, name, tags, rating, zone_id: zone })))
      throw new Refusal(409, 'executor_exists', 'This executor_id is taken.');
    const body = JSON.stringify(await readExecutor(tx, id));
    if (idempotency !== undefined)
      await keepAnswer(tx, idempotency, { status: 201, response: body });
    return { body, replayed: false };
  });
}

/** Changes what is named of an executor. */
export async function changeExecutor(
  { db }: DispatchContext,
  executorId: string,
  change: ChangeExecutor,
): Promise<Executor> {
  return db.transaction(async (tx) => {
    const { zone_id } = change;
    const zone = zone_id === undefined ? {} : { zone_id: await knownZone(tx, zone_id) };
    if (!(await updateExecutor(tx, executorId, { ...change, ...zone }))) throw unknownExecutor();
    return readExecutor(tx, executorId);
  });
}

/** Notes where an executor is. */
export async function locate({ db }: DispatchContext, executorId: string, at: Location) {
  return db.transaction(async (tx) => {
    if (!(await locateExecutor(tx, executorId, at))) throw unknownExecutor();
    return readExecutor(tx, executorId);
  });
}

/** One executor, or 404. */
export async function readExecutor(
  db: Pick<Tx, 'query' | 'queryOnce'>,
  executorId: string,
): Promise<Executor> {
  const { executors } = await readDesk(db, [executorId]);
  const [row] = executors;
  if (row === undefined) throw unknownExecutor();
  return renderExecutor(row);
}

function unknownExecutor(): Refusal {
  return new Refusal(404, 'executor_not_found', 'There is no such executor.');
}

/** A zone is never removed, so that one that was seen stays. */
async function knownZone(tx: Tx, zoneId: string | null): Promise<string | null> {
  if (zoneId === null) return null;
  const id = zoneId.normalize('NFC');
  if ((await findZones(tx, [id])).length === 1) return id;
  throw new Refusal(422, 'unknown_zone', 'There is no such zone.', {
    faults: [{ pointer: '/zone_id', detail: 'must be a zone that was described' }],
  });
}

/** Writes a zone, new or known. */
export async function describeZone({ db }: DispatchContext, zoneId: string, zone: DescribeZone) {
  const id = zoneId.normalize('NFC');
  await upsertZone(db, {
    zone_id: id,
    display_name: zone.display_name,
    coin_coeff: sixDecimals('coin_coeff', zone.coin_coeff),
    bonus_amount: sixDecimals('bonus_amount', zone.bonus_amount),
  });
  return readZone({ db }, id);
}

/** One zone, or 404. */
export async function readZone({ db }: Pick<DispatchContext, 'db'>, zoneId: string) {
  const [row] = await findZones(db, [zoneId.normalize('NFC')]);
  if (row === undefined) throw new Refusal(404, 'zone_not_found', 'There is no such zone.');
  const { coin_coeff, bonus_amount, ...rest } = row;
  return { ...rest, coin_coeff: Number(coin_coeff), bonus_amount: Number(bonus_amount) };
}

/** Writes what is named of the configuration, and tells all of it. */
export async function configure({ db }: DispatchContext, { max_coin_coeff }: DispatchConfig) {
  if (max_coin_coeff !== undefined)
    await writeMaxCoefficient(
      db,
      max_coin_coeff === null ? null : sixDecimals('max_coin_coeff', max_coin_coeff),
    );
  return readConfig({ db });
}

/** The configuration in force. */
export async function readConfig({ db }: Pick<DispatchContext, 'db'>): Promise<DispatchConfig> {
  const { maxCoefficient } = await readDesk(db, []);
  return { max_coin_coeff: maxCoefficient === null ? null : Number(maxCoefficient) };
}

/** Decimal text of what the tables can hold exactly. */
function sixDecimals(member: string, value: number): string {
  const decimal = decimalOf(value);
  if (decimal !== undefined && decimal.scale <= 6) return textOf(decimal);
  throw invalidBody([{ pointer: `/${member}`, detail: 'must have at most 6 decimals' }]);
}
