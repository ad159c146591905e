/** What the pets service works with. */
import type { Values } from '@waybill/kit/config.ts';
import type { ServiceContext } from '@waybill/kit/service.ts';

/** It has no settings of its own. */
export const settings = {} as const;

export type PetsContext = ServiceContext<Values<typeof settings>>;
