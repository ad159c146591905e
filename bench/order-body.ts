/** The order that is sent again and again, and what a route that does nothing answers to it. */
import type { Order } from '@waybill/orders/contract.ts';

/** The example that the API's users are shown. */
export const ORDER_BODY = JSON.stringify({
  customer_id: 'customer_123',
  items: [{ item_id: 'item_001', item_name: 'Burger', quantity: 2, price: 12.99 }],
});

export const CONSTANT_ORDER: Order = {
  id: '01990d4e-7c00-7000-8000-000000000001',
  number: 1_000_000_000,
  channel: 'delivery',
  customer_id: 'customer_123',
  currency: 'USD',
  total_amount: 25.98,
  status: 'PENDING',
  payment_status: 'PENDING',
  fulfillment_status: 'UNFULFILLED',
  reference: null,
  payment: { method: 'card' },
  fulfillment: null,
  cancel_requested_at: null,
  cancel_reason: null,
  version: 1,
  created_at: '2026-01-02T03:04:05.678Z',
  updated_at: '2026-01-02T03:04:05.678Z',
  items: [{ item_id: 'item_001', item_name: 'Burger', quantity: 2, price: 12.99 }],
  payment_attempts: [],
};
