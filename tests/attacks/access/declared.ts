/**
 * What another customer or executor gets who names somebody's things, by route. The table is whole:
 * a route that takes an id or a person's name and does not stand here fails objects.test.ts.
 */
import type { AccessPlatform, Person } from './platform.ts';
import { checkoutCases } from './checkout-cases.ts';
import { deliveryCases } from './delivery-cases.ts';
import { petstoreCases } from './petstore-cases.ts';

/** What a request needs to name the owner's thing. */
export interface Target {
  readonly path?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Where the desk sees the thing; it is the same before and after. */
  readonly look?: string;
  /** What no answer to another may hold. */
  readonly hidden?: string;
}

export interface Case {
  /** Makes a thing of the owner's. */
  readonly make: (platform: AccessPlatform, owner: Person) => Promise<Target> | Target;
  /** What the owner is answered: it shows that the thing is there. */
  readonly own: number;
  /** What another is answered. */
  readonly foreign: 200 | 204 | 403 | 404;
  /** What both of them are. */
  readonly role?: 'customer' | 'executor';
}

/** A sentence: the thing is everybody's, and why. */
export type Declared = Case | readonly Case[] | string;

export type Declarations = Readonly<Record<string, Declared>>;

const authCases: Declarations = {
  'POST /api/v1/auth/login': 'whoever knows the password is the person',
  'POST /api/v1/auth/register': 'makes somebody new, and nobody of whoever is there',
};

export const declared: Declarations = {
  ...authCases,
  ...deliveryCases,
  ...checkoutCases,
  ...petstoreCases,
};
