/** What the inventory service works with. */
import type { ServiceContext } from '@waybill/kit/service.ts';
import { createMover, type MoveStock } from './moves.ts';

export interface InventoryContext extends ServiceContext {
  readonly moveStock: MoveStock;
}

export function createContext(base: ServiceContext): InventoryContext {
  return { ...base, moveStock: createMover(base.db) };
}
