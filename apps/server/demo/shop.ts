/** Who orders what in a demonstration: made up, but as people order. */
import { random } from '@waybill/kit/ids.ts';

export interface DemoOrder {
  readonly customer_id: string;
  readonly reference: string;
  readonly items: readonly {
    readonly item_id: string;
    readonly item_name: string;
    readonly quantity: number;
    readonly price: number;
  }[];
  readonly payment?: { readonly method: 'card'; readonly token: string };
}

const MENU: readonly (readonly [id: string, name: string, price: number])[] = [
  ['burger-classic', 'Classic burger', 8.9],
  ['burger-veggie', 'Veggie burger', 9.4],
  ['fries-large', 'Large fries', 3.6],
  ['pizza-margherita', 'Pizza Margherita', 10.5],
  ['pizza-funghi', 'Pizza Funghi', 12],
  ['sushi-mixed-12', 'Mixed sushi, 12 pieces', 18.75],
  ['ramen-miso', 'Miso ramen', 13.2],
  ['salad-caesar', 'Caesar salad', 9.95],
  ['cola-330', 'Cola 0.33 l', 2.5],
  ['water-500', 'Still water 0.5 l', 1.8],
  ['tiramisu', 'Tiramisu', 5.4],
  ['coffee-beans-1kg', 'Coffee beans 1 kg', 21.9],
  ['oat-milk', 'Oat milk 1 l', 2.19],
  ['bananas-1kg', 'Bananas 1 kg', 1.99],
  ['headphones', 'Wireless headphones', 79],
  ['usb-cable', 'USB-C cable 2 m', 11.49],
];

const NAMES = 'anna ben carla deniz emma felix giulia hugo ines jonas kaya liam mia noah'.split(
  ' ',
);

/** How people pay: most cards are good, some are declined. */
const DECLINES: readonly (readonly [token: string, share: number])[] = [
  ['tok_decline', 0.02],
  ['tok_insufficient_funds', 0.02],
];

/** The order of the next customer. */
export function nextOrder(reference: string): DemoOrder {
  const lines = 1 + Math.floor(random() ** 2 * 5);
  const chosen = new Set<number>();
  while (chosen.size < lines) chosen.add(Math.floor(random() * MENU.length));
  const token = declineOf(random());
  return {
    customer_id: `${pick(NAMES)}-${1 + Math.floor(random() * 200)}`,
    reference,
    items: [...chosen].map((index) => {
      const [item_id, item_name, price] = MENU[index] as (typeof MENU)[0];
      return { item_id, item_name, price, quantity: 1 + Math.floor(random() ** 3 * 4) };
    }),
    ...(token === undefined ? {} : { payment: { method: 'card', token } }),
  };
}

function declineOf(drawn: number): string | undefined {
  let upTo = 0;
  for (const [token, share] of DECLINES) {
    upTo += share;
    if (drawn < upTo) return token;
  }
  return undefined;
}

function pick<Thing>(things: readonly Thing[]): Thing {
  return things[Math.floor(random() * things.length)] as Thing;
}
