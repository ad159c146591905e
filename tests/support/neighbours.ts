/** Stand where customers, billing and notifications stand, as auth calls them; a test rules them. */
import { sleep } from '@waybill/kit/clock.ts';
import { Outage, Refusal } from '@waybill/kit/errors.ts';
import { emit } from '@waybill/kit/eventlog.ts';
import { route, type Route } from '@waybill/kit/route.ts';
import { Type } from '@waybill/kit/schema.ts';
import { defineService, type Service, type ServiceContext } from '@waybill/kit/service.ts';

/** How a neighbour takes calls: as it should, or not. `after` does it first, and then fails. */
export type Mood = 'well' | 'refuses' | 'away' | 'after' | 'hangs';

export interface Mail {
  readonly dedupe_key: string;
  readonly template: string;
  readonly username: string;
  readonly data: { readonly link: string };
  readonly contact: { readonly email: string };
}

export interface Neighbours {
  readonly services: readonly Service[];
  /** Registration ids by user name. */
  readonly profiles: Map<string, string>;
  readonly contacts: Map<string, Record<string, unknown>>;
  readonly accounts: Set<string>;
  readonly mails: Mail[];
  mood: { customers: Mood; billing: Mood; notifications: Mood; undoing: Mood };
  /** Tells news of a profile, version after version. */
  tell(username: string, version: number, type: string, changed?: string[]): Promise<void>;
}

type Name = 'customers' | 'billing' | 'notifications';

/** New ones, with nothing in them. */
export function openNeighbours(): Neighbours {
  let customers: ServiceContext | undefined;
  const named = Type.Object({ username: Type.String() });
  const anything = Type.Record(Type.String(), Type.Unknown());
  const internal = { access: ['service'], internal: true, summary: 'A neighbour.' } as const;
  const replies = { 200: { description: 'Done.' }, 201: { description: 'Made.' } } as const;
  const state: Neighbours = {
    services: [],
    profiles: new Map(),
    contacts: new Map(),
    accounts: new Set(),
    mails: [],
    mood: { customers: 'well', billing: 'well', notifications: 'well', undoing: 'well' },
    async tell(username, version, type, changed = []) {
      if (customers === undefined) throw new Error('nobody runs');
      await customers.db.transaction((tx) =>
        emit(tx, 'customers', [{ key: username, version, type, data: { username, changed } }]),
      );
    },
  };
  const inMood = async (mood: Mood, name: Name, work: () => void) => {
    if (mood === 'refuses') throw new Refusal(409, 'refused_by_neighbour', 'It does not want to.');
    if (mood === 'away') throw new Outage(name, 'it is away');
    if (mood === 'hangs') await sleep(60_000);
    work();
    if (mood === 'after') throw new Outage(name, 'its answer was lost');
    return { status: 200, body: {} };
  };
  const service = (name: Name, paths: string[], routes: Route<ServiceContext>[]): Service =>
    defineService({
      name,
      description: `A stand-in for ${name}.`,
      paths,
      settings: {},
      ...(name === 'customers' ? { migrations: {} } : {}),
      create: (base) => (name === 'customers' ? (customers = base) : base),
      routes,
      consumers: [],
      tasks: [],
      sweeps: [],
    });
  const post = (path: string, name: Name, work: (body: Record<string, unknown>) => void) =>
    route({
      ...internal,
      method: 'POST',
      path,
      body: anything,
      replies,
      handle: ({ body }) => inMood(state.mood[name], name, () => work(body)),
    });
  const undo = (path: string, name: Name, work: (username: string, id: string) => void) =>
    route({
      ...internal,
      method: 'DELETE',
      path,
      params: named,
      query: Type.Object({ registration_id: Type.Optional(Type.String()) }),
      replies,
      handle: ({ params, query }) =>
        inMood(state.mood.undoing, name, () => work(params.username, query.registration_id ?? '')),
    });
  const services = [
    service(
      'customers',
      ['/api/v1/user'],
      [
        post('/internal/customers/profiles', 'customers', (body) => {
          const { username, registration_id } = body as Record<string, string>;
          const known = state.profiles.get(username!);
          if (known !== undefined && known !== registration_id)
            throw new Refusal(409, 'profile_exists', 'There is one.');
          state.profiles.set(username!, registration_id!);
          state.contacts.set(username!, body);
        }),
        undo('/internal/customers/profiles/{username}', 'customers', (username, id) => {
          if (state.profiles.get(username) === id) state.profiles.delete(username);
        }),
        route({
          ...internal,
          method: 'GET',
          path: '/internal/customers/profiles/{username}',
          params: named,
          replies,
          async handle({ params }) {
            return { status: 200, body: state.contacts.get(params.username) ?? {} };
          },
        }),
      ],
    ),
    service(
      'billing',
      ['/api/v1/billing'],
      [
        post('/internal/billing/accounts', 'billing', ({ username }) => {
          state.accounts.add(String(username));
        }),
        undo('/internal/billing/accounts/{username}', 'billing', (username) => {
          state.accounts.delete(username);
        }),
      ],
    ),
    service(
      'notifications',
      ['/api/v1/notif'],
      [
        post('/internal/notifications', 'notifications', (body) => {
          state.mails.push(body as unknown as Mail);
        }),
      ],
    ),
  ];
  return Object.assign(state, { services });
}
