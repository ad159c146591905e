/** A person's data from every service that holds some, in one document. */
import { epochMs } from '@waybill/kit/clock.ts';
import { deadlineIn, remainingMs, type Deadline } from '@waybill/kit/deadline.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import type { Identity } from '@waybill/kit/identity.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';
import { readProfile } from './commands.ts';
import { EXPORTED, type ExportPage } from './contract.ts';
import { renderProfile } from './store.ts';

const LONGEST_MS = 20_000;
/** Things of one service in one export: what a reply can hold in memory. */
const MOST_ITEMS = 20_000;

/** Everything that is held about a person. A service that does not answer is an outage. */
export async function exportPerson(
  context: ServiceContext,
  identity: Identity,
  username: string,
  deadline: Deadline,
) {
  const row = await readProfile(context, identity, username);
  const within = deadlineIn(Math.min(LONGEST_MS, remainingMs(deadline)));
  const parts = await Promise.all(
    EXPORTED.map(async ([part, service]) => {
      return [part, await readPart(context, service, row.username, within)] as const;
    }),
  );
  return {
    exportedAt: new Date(epochMs()).toISOString(),
    profile: renderProfile(row),
    ...Object.fromEntries(parts),
  };
}

async function readPart(
  { client }: ServiceContext,
  service: string,
  username: string,
  deadline: Deadline,
): Promise<unknown[]> {
  const items: unknown[] = [];
  let after: string | null = null;
  do {
    const query: Record<string, string> = after === null ? { username } : { username, after };
    const page: ExportPage = await client
      .call<ExportPage>(
        service,
        { method: 'GET', path: `/internal/${service}/export`, query, idempotent: true },
        deadline,
      )
      .catch((error: unknown) => {
        // A refusal would leave the part out, which nobody may do in silence.
        throw error instanceof Refusal
          ? new Outage(service, `refused its part of an export: ${error.code}`)
          : error;
      });
    items.push(...page.items);
    if (items.length > MOST_ITEMS)
      throw new Refusal(409, 'export_too_large', `There is more than one answer holds.`);
    after = page.next;
  } while (after !== null);
  return items;
}
