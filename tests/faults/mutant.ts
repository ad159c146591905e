/** What a planted bug is. */
import type { HuntName } from './hunts.ts';

/** A text that stands exactly once in the file, and what is put in its place. */
export interface Plant {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  readonly hunt: HuntName;
  readonly plants: readonly Plant[];
  /** Planted in the sound copy too: a second line of defence that would make good the damage. */
  readonly given?: readonly Plant[];
  /** Quick enough to be run with every test run. */
  readonly quick?: true;
}

/** Two events of one version are refused by the log's table. */
export const versionsUnguarded: Plant = {
  file: 'kit/tables.ts',
  find: 'primary key (key, version)',
  replace: 'check (true)',
};
