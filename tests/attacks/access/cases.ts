/** What is said of a route through which somebody could name things of others. */
import type { AccessPlatform, Person } from './platform.ts';

/** What a request needs to name the owner's thing. */
export interface Target {
  readonly path?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** What another names instead, to get at the thing. */
  readonly asOther?: (other: Person) => Target;
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
