/**
 * The customer's wallet as a payment provider: the billing service's ledger. It answers by key like
 * any other provider, so that nothing of what payments knows of outages has to be told twice.
 */
import type { Client, OutboundCall } from '@waybill/kit/client.ts';
import { deadlineIn } from '@waybill/kit/deadline.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import type {
  Away,
  ChargeAnswer,
  ChargeRequest,
  Faulted,
  FindAnswer,
  PaymentProvider,
  RefundAnswer,
  VoidAnswer,
} from '../provider.ts';

export interface WalletOptions {
  readonly client: Client;
  readonly timeoutMs: number;
}

/** Statuses of something between us and the ledger; the ledger's own fault is a 500. */
const OUTAGES = new Set<number | undefined>([undefined, 429, 502, 503, 504]);

export function openWalletProvider({ client, timeoutMs }: WalletOptions): PaymentProvider {
  const ask = async <Answer>(call: OutboundCall): Promise<Answer | Away | Faulted> => {
    try {
      const deadline = deadlineIn(timeoutMs);
      const answer = await client.call<Told>('billing', { ...call, timeoutMs }, deadline);
      return readAnswer<Answer>(answer);
    } catch (error) {
      if (!(error instanceof Outage)) throw error;
      const { message } = error;
      return OUTAGES.has(error.status)
        ? { kind: 'outage', message, reached: true }
        : { kind: 'fault', message };
    }
  };
  return {
    name: 'wallet',
    async charge(request) {
      try {
        return await ask<ChargeAnswer>(post('/internal/billing/charges', bodyOf(request)));
      } catch (error) {
        // What the ledger finds malformed (a name that cannot be an account's) it never charges.
        if (!(error instanceof Refusal) || error.status !== 422) throw error;
        return { kind: 'declined', code: error.code, message: error.message };
      }
    },
    find: ({ key }) =>
      ask<FindAnswer>({
        method: 'GET',
        path: '/internal/billing/charges',
        query: { key },
        idempotent: true,
      }),
    voidKey: (request) => ask<VoidAnswer>(post('/internal/billing/charges/void', bodyOf(request))),
    refund: ({ key, reference, amountMinor, currency }) =>
      ask<RefundAnswer>(
        post('/internal/billing/refunds', { key, reference, amount_minor: amountMinor, currency }),
      ),
    readCallback() {
      throw new Refusal(401, 'invalid_signature', 'A wallet calls nobody back.');
    },
    close: async () => {},
  };
}

interface Told {
  readonly amount_minor?: number;
}

/** The ledger's words are the port's own but for the spelling of the amount. */
function readAnswer<Answer>({ amount_minor, ...answer }: Told): Answer {
  return (amount_minor === undefined ? answer : { ...answer, amountMinor: amount_minor }) as Answer;
}

/** Not repeated by the client: how often an order is tried is counted by payments alone. */
function post(path: string, body: unknown): OutboundCall {
  return { method: 'POST', path, body, idempotent: false };
}

function bodyOf({ key, orderId, customerId, amountMinor, currency }: ChargeRequest) {
  return {
    key,
    order_id: orderId,
    username: customerId ?? '',
    amount_minor: amountMinor,
    currency,
  };
}
