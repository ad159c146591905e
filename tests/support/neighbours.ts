/** Stand where customers, billing and notifications stand for auth, and do as a test says. */
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
  readonly mood: Record<Name | 'undoing', Mood>;
  /** Tells news of a profile, version after version. */
  tell(username: string, version: number, type: string, changed?: string[]): Promise<void>;
}

type Name = 'customers' | 'billing' | 'notifications';
type State = Pick<Neighbours, 'profiles' | 'contacts' | 'accounts' | 'mails' | 'mood'>;

/** New ones, with nothing in them. */
export function openNeighbours(): Neighbours {
  let customers: ServiceContext | undefined;
  const well: Neighbours['mood'] = {
    customers: 'well',
    billing: 'well',
    notifications: 'well',
    undoing: 'well',
  };
  const state: State = {
    profiles: new Map(),
    contacts: new Map(),
    accounts: new Set(),
    mails: [],
    mood: well,
  };
  const services = [
    standIn('customers', '/api/v1/user', customersRoutes(state), (base) => (customers = base)),
    standIn('billing', '/api/v1/billing', billingRoutes(state)),
    standIn('notifications', '/api/v1/notif', [
      post(state, '/internal/notifications', 'notifications', (body) => {
        state.mails.push(body as unknown as Mail);
      }),
    ]),
  ];
  return {
    ...state,
    services,
    async tell(username, version, type, changed = []) {
      if (customers === undefined) throw new Error('nobody runs');
      await customers.db.transaction((tx) =>
        emit(tx, 'customers', [{ key: username, version, type, data: { username, changed } }]),
      );
    },
  };
}

/** A service without rooms; with `create` it has a log of its own. */
function standIn(
  name: Name,
  path: string,
  routes: Route<ServiceContext>[],
  create?: (base: ServiceContext) => ServiceContext,
): Service {
  return defineService({
    name,
    description: `A stand-in for ${name}.`,
    paths: [path],
    settings: {},
    ...(create === undefined ? {} : { migrations: {} }),
    create: create ?? ((base) => base),
    routes,
    consumers: [],
    tasks: [],
    sweeps: [],
  });
}

const internal = { access: ['service'], internal: true, summary: 'A neighbour.' } as const;
const replies = { 200: { description: 'Done.' }, 201: { description: 'Made.' } } as const;
const named = Type.Object({ username: Type.String() });

async function inMood(mood: Mood, name: Name, work: () => void) {
  if (mood === 'refuses') throw new Refusal(409, 'refused_by_neighbour', 'It does not want to.');
  if (mood === 'away') throw new Outage(name, 'it is away');
  if (mood === 'hangs') await sleep(60_000);
  work();
  if (mood === 'after') throw new Outage(name, 'its answer was lost');
  return { status: 200, body: {} };
}

function post(
  { mood }: State,
  path: string,
  name: Name,
  work: (body: Record<string, string>) => void,
): Route<ServiceContext> {
  return route({
    ...internal,
    method: 'POST',
    path,
    body: Type.Record(Type.String(), Type.Unknown()),
    replies,
    handle: ({ body }) => inMood(mood[name], name, () => work(body as Record<string, string>)),
  });
}

function undo(
  { mood }: State,
  path: string,
  name: Name,
  work: (username: string, registration: string) => void,
): Route<ServiceContext> {
  return route({
    ...internal,
    method: 'DELETE',
    path: `${path}/{username}`,
    params: named,
    query: Type.Object({ registration_id: Type.Optional(Type.String()) }),
    replies,
    handle: ({ params, query }) =>
      inMood(mood.undoing, name, () => work(params.username, query.registration_id ?? '')),
  });
}

function customersRoutes(state: State): Route<ServiceContext>[] {
  const path = '/internal/customers/profiles';
  const { profiles, contacts } = state;
  return [
    post(state, path, 'customers', (body) => {
      const { username = '', registration_id = '' } = body;
      const known = profiles.get(username);
      if (known !== undefined && known !== registration_id)
        throw new Refusal(409, 'profile_exists', 'There is one.');
      profiles.set(username, registration_id);
      contacts.set(username, body);
    }),
    undo(state, path, 'customers', (username, registration) => {
      if (profiles.get(username) === registration) profiles.delete(username);
    }),
    route({
      ...internal,
      method: 'GET',
      path: `${path}/{username}`,
      params: named,
      replies,
      async handle({ params }) {
        const contact = contacts.get(params.username);
        if (contact === undefined) throw new Refusal(404, 'profile_not_found', 'There is none.');
        return { status: 200, body: contact };
      },
    }),
    route({
      ...internal,
      method: 'PUT',
      path: `${path}/{username}`,
      params: named,
      body: Type.Record(Type.String(), Type.Unknown()),
      replies,
      handle: ({ params, body }) =>
        inMood(state.mood.customers, 'customers', () => {
          const contact = contacts.get(params.username);
          if (contact === undefined) throw new Refusal(404, 'profile_not_found', 'There is none.');
          contacts.set(params.username, { ...contact, ...body });
        }),
    }),
    route({
      ...internal,
      method: 'POST',
      path: `${path}/{username}/erase`,
      params: named,
      replies,
      handle: ({ params }) =>
        inMood(state.mood.customers, 'customers', () => {
          contacts.delete(params.username);
          profiles.delete(params.username);
        }),
    }),
  ];
}

function billingRoutes(state: State): Route<ServiceContext>[] {
  const path = '/internal/billing/accounts';
  return [
    post(state, path, 'billing', ({ username = '' }) => void state.accounts.add(username)),
    undo(state, path, 'billing', (username) => void state.accounts.delete(username)),
  ];
}
