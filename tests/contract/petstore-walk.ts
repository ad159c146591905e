/**
 * Requests made from the petstore's document: for every operation one that succeeds, and every way
 * to go wrong that its parameters and its body allow.
 */
import {
  misfit,
  resolve,
  sample,
  type Operation,
  type Petstore,
  type Schema,
} from './petstore-document.ts';

/** A request, and how it should be answered. */
export interface Case {
  readonly name: string;
  readonly operation: Operation;
  readonly expect: number;
  readonly path: string;
  readonly body?: unknown;
  /** Sent as it is instead of the body's JSON. */
  readonly raw?: string | Buffer;
  readonly contentType?: string;
}

/** Things that are there, made for one case each. */
export interface World {
  pet(): Promise<number>;
  order(): Promise<number>;
  user(): Promise<string>;
  /** A number and a name that nothing has. */
  freshId(): number;
  freshName(): string;
  readonly password: string;
  readonly picture: Buffer;
}

/** All cases of an operation. */
export async function casesOf(
  petstore: Petstore,
  operation: Operation,
  world: World,
): Promise<Case[]> {
  const make = (name: string, expect: number, more: Partial<Case> & { path: string }): Case => ({
    name,
    operation,
    expect,
    ...more,
  });
  const good = await goodRequest(petstore, operation, world);
  const bad = (name: string, more: Partial<Case>) => make(name, 400, { ...good, ...more });
  const cases = [make('as it should be', 200, good)];
  for (const { name, in: place, schema } of operation.parameters) {
    if (place === 'path' && schema.type === 'integer') {
      const at = (value: string | number) => ({ path: replaced(operation.path, name, value) });
      for (const value of ['abc', '1.5', '0x1', '%20', '99999999999999999999'])
        cases.push(bad(`a malformed ${name} ${value}`, at(value)));
      cases.push(make(`an unknown ${name}`, 404, { ...good, ...at(world.freshId()) }));
    }
    if (place === 'path' && schema.type === 'string') {
      const at = (value: string) => ({ path: replaced(operation.path, name, value) });
      cases.push(bad(`a malformed ${name}`, at('a%20b')));
      cases.push(bad(`a ${name} that is too long`, at('x'.repeat(300))));
      cases.push(make(`an unknown ${name}`, 404, { ...good, ...at(world.freshName()) }));
    }
    if (place === 'query' && schema.enum !== undefined)
      cases.push(
        bad(`a ${name} that there is not`, { path: `${operation.path}?${name}=nonsense` }),
      );
    if (place === 'query' && name === 'status' && schema.enum === undefined)
      cases.push(
        bad(`a ${name} that there is not`, { path: `${good.path.split('?')[0]}?${name}=nonsense` }),
      );
    if (place === 'query' && schema.type === 'array')
      cases.push(bad(`an empty one of ${name}`, { path: `${operation.path}?${name}=` }));
  }
  return [...cases, ...bodyCases(petstore, operation, good, make, world)];
}

type Make = (name: string, expect: number, more: Partial<Case> & { path: string }) => Case;

function bodyCases(
  petstore: Petstore,
  { id, body, path }: Operation,
  good: Partial<Case> & { path: string },
  make: Make,
  world: World,
): Case[] {
  if ('application/octet-stream' in body)
    return [make('no picture at all', 400, { ...good, raw: Buffer.alloc(0) })];
  if (id === 'loginUser') {
    const wrong = `${path}?username=${world.freshName()}&password=wrong-password`;
    return [make('a wrong password', 400, { path: wrong })];
  }
  const schema = body['application/json']?.schema;
  if (schema === undefined) return [];
  const cases = [
    make('a body that is no JSON', 400, { ...good, raw: '{"' }),
    make('a body of another type', 415, { ...good, contentType: 'text/plain' }),
    make('no body', 422, { path: good.path }),
  ];
  const { properties = {}, type } = resolve(petstore, schema);
  if (type === 'array') return [...cases, make('no list', 422, { ...good, body: {} })];
  for (const [name, property] of Object.entries(properties))
    cases.push(
      make(`a ${name} of another type`, 422, {
        ...good,
        body: { ...(good.body as object), [name]: misfit(petstore, property) },
      }),
    );
  if (id === 'updatePet') {
    const unknown = { ...(good.body as object), id: world.freshId() };
    cases.push(make('an unknown id', 404, { ...good, body: unknown }));
  }
  if (id === 'placeOrder') {
    const [number, petId] = [world.freshId(), world.freshId()];
    const unknown = { ...(good.body as object), id: number, petId };
    cases.push(make('an unknown pet', 422, { ...good, body: unknown }));
  }
  return cases;
}

async function goodRequest(
  petstore: Petstore,
  { id, path, parameters, body }: Operation,
  world: World,
): Promise<Partial<Case> & { path: string }> {
  const user = parameters.some(({ name }) => name === 'username') ? await world.user() : '';
  const values: Record<string, () => Promise<number | string>> = {
    petId: world.pet,
    orderId: world.order,
    username: async () => user,
  };
  let target = path;
  for (const { name, in: place } of parameters)
    if (place === 'path') target = replaced(target, name, await values[name]!());
  const query = id === 'loginUser' ? `?username=${user}&password=${world.password}` : '';
  if (id === 'updatePetWithForm') target += '?name=renamed';
  // The document calls them optional; who names no tags finds none, and is told so.
  if (id === 'findPetsByTags') target += '?tags=tag1&tags=tag2';
  const address = { path: `${target}${query}` };
  if ('application/octet-stream' in body)
    return { ...address, raw: world.picture, contentType: 'application/octet-stream' };
  const schema = body['application/json']?.schema;
  if (schema === undefined) return address;
  const { type, items } = resolve(petstore, schema);
  if (type === 'array')
    return { ...address, body: [await fill(petstore, id, items as Schema, '', world)] };
  return { ...address, body: await fill(petstore, id, schema, user, world) };
}

/** Examples, with ids and names that are free, or known where the operation wants that. */
async function fill(petstore: Petstore, id: string, schema: Schema, user: string, world: World) {
  return sample(petstore, schema, {
    id: id === 'updatePet' ? await world.pet() : world.freshId(),
    petId: await world.pet(),
    username: user === '' ? world.freshName() : user,
    email: `${world.freshName()}@example.com`,
    password: world.password,
    status: id === 'placeOrder' ? 'placed' : 'available',
    userStatus: 1,
  });
}

function replaced(path: string, name: string, value: string | number): string {
  const [before = ''] = path.split('?');
  return before.replace(`{${name}}`, String(value));
}
