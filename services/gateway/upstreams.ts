/** Every service with a public path. A new service is one line here. */
import { authService } from '@waybill/auth/contract.ts';
import { inventoryService } from '@waybill/inventory/contract.ts';
import { customersService } from '@waybill/customers/contract.ts';
import { notificationsService } from '@waybill/notifications/contract.ts';
import { billingService } from '@waybill/billing/contract.ts';
import { dispatchService } from '@waybill/dispatch/contract.ts';
import { ordersService } from '@waybill/orders/contract.ts';
import { petsService } from '@waybill/pets/contract.ts';
import { photosService } from '@waybill/photos/contract.ts';
import { paymentsService } from '@waybill/payments/contract.ts';

export interface Upstream {
  readonly name: string;
  readonly paths: readonly string[];
}

const services: readonly Upstream[] = [
  authService,
  customersService,
  notificationsService,
  ordersService,
  petsService,
  photosService,
  inventoryService,
  paymentsService,
  billingService,
  dispatchService,
];

/** The services with all their public prefixes, those that the kit gives to each included. */
export const upstreams: readonly Upstream[] = services.map(({ name, paths }) => ({
  name,
  paths: [...paths, `/api/v1/dead-letters/${name}`, `/api/v1/dead-tasks/${name}`],
}));
