/** The route table of the whole platform, as the walks over it need it. */
import { exampleOf } from '@waybill/kit/example.ts';
import { kitRoutes } from '@waybill/kit/kit-routes.ts';
import type { Route } from '@waybill/kit/route.ts';
import type { TSchema } from '@waybill/kit/schema.ts';
import type { Service } from '@waybill/kit/service.ts';
import { loadServices } from '../../../apps/server/services.ts';

export interface TableEntry {
  readonly service: string;
  /** `GET /api/v1/orders/{id}`. */
  readonly name: string;
  readonly route: Route;
}

/** Every route of every service, those that the kit gives to each included. */
export async function readRoutes(): Promise<readonly TableEntry[]> {
  return (await loadServices([])).flatMap((service) =>
    allRoutesOf(service).map((route) => ({
      service: service.name,
      name: `${route.method} ${route.path}`,
      route,
    })),
  );
}

function allRoutesOf(service: Service) {
  // Where the routes are declared, of the database its service's name is all that is asked for.
  const db = service.migrations === undefined ? undefined : ({ service: service.name } as never);
  return [...service.routes, ...kitRoutes({ service, db, inboxes: new Map() })];
}

/** For `test.each`: the name first. */
export function named(entries: readonly TableEntry[]): [string, TableEntry][] {
  return entries.map((entry) => [entry.name, entry]);
}

/** A path of a route, with these values in it or with those of its examples. */
export function pathOf(
  { path, params }: Route,
  values: Readonly<Record<string, unknown>> = examplesOf(params),
): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (typeof value !== 'string' && typeof value !== 'number')
      throw new Error(`${path} needs a value for ${name}`);
    return encodeURIComponent(String(value));
  });
}

export function examplesOf(schema: TSchema | undefined): Record<string, unknown> {
  return schema === undefined ? {} : (exampleOf(schema) as Record<string, unknown>);
}

/** Names under which a request says whose things it is about. */
const PERSONAL = new Set(['customer_id', 'executor_id', 'user_id', 'username', 'user', 'owner']);

/**
 * Whether one customer or executor could name another's things by the route: it is open to them,
 * and takes an id in its path, or the name of a person in its query or body.
 */
export function namesThings({ route }: TableEntry): boolean {
  const { access, path, query, body, internal } = route;
  if (internal === true) return false;
  if (access !== 'public' && !access.includes('customer') && !access.includes('executor'))
    return false;
  return path.includes('{') || holdsPersonal(query) || holdsPersonal(body);
}

interface Described {
  readonly properties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
  readonly anyOf?: readonly Described[];
}

function holdsPersonal(schema: Described | undefined): boolean {
  if (schema === undefined) return false;
  const { properties = {}, items, anyOf = [] } = schema;
  return (
    Object.keys(properties).some((name) => PERSONAL.has(snake(name))) ||
    [...Object.values(properties), ...anyOf, items].some(holdsPersonal)
  );
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
