/**
 * What another customer or executor gets who names somebody's things, by route. The table is whole:
 * a route that takes an id or a person's name and does not stand here fails objects.test.ts.
 */
import type { Declarations } from './cases.ts';
import { checkoutCases } from './checkout-cases.ts';
import { deliveryCases } from './delivery-cases.ts';
import { dispatchCases } from './dispatch-cases.ts';
import { petstoreCases } from './petstore-cases.ts';

const authCases: Declarations = {
  'POST /api/v1/auth/login': 'whoever knows the password is the person',
  'POST /api/v1/auth/register': 'makes somebody new, and nobody of whoever is there',
};

export const declared: Declarations = {
  ...authCases,
  ...deliveryCases,
  ...checkoutCases,
  ...petstoreCases,
  ...dispatchCases,
};
