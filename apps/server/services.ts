/** Every service there is, by name: a table of lazy imports. */
import type { Service } from '@waybill/kit/service.ts';

const table: Readonly<Record<string, () => Promise<Service>>> = {
  gateway: async () => (await import('@waybill/gateway/index.ts')).gateway,
  auth: async () => (await import('@waybill/auth/index.ts')).auth,
  billing: async () => (await import('@waybill/billing/index.ts')).billing,
  orders: async () => (await import('@waybill/orders/index.ts')).orders,
  pets: async () => (await import('@waybill/pets/index.ts')).pets,
  photos: async () => (await import('@waybill/photos/index.ts')).photos,
  inventory: async () => (await import('@waybill/inventory/index.ts')).inventory,
  customers: async () => (await import('@waybill/customers/index.ts')).customers,
  notifications: async () => (await import('@waybill/notifications/index.ts')).notifications,
  dispatch: async () => (await import('@waybill/dispatch/index.ts')).dispatch,
  payments: async () => (await import('@waybill/payments/index.ts')).payments,
};

export const serviceNames: readonly string[] = Object.keys(table);

/** Loads services by name; all of them when none is named. */
export function loadServices(names: readonly string[]): Promise<Service[]> {
  const wanted = names.length === 0 ? serviceNames : names;
  return Promise.all(
    wanted.map((name) => {
      const load = table[name];
      if (load === undefined)
        throw new UsageFault(
          `There is no service "${name}"; there are ${serviceNames.join(', ')} and sandbox.`,
        );
      return load();
    }),
  );
}

/** Something the person at the keyboard can mend: printed as one sentence, exit code 1. */
export class UsageFault extends Error {
  override readonly name = 'UsageFault';
}
