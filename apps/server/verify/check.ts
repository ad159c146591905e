/** What a check of `waybill verify` is. */

/**
 * - safety: holds at every moment, under load and in the middle of a fault.
 * - liveness: holds once everything has come to rest.
 */
export type CheckKind = 'safety' | 'liveness';

/** What a check reads besides the database. */
export type Witness = 'journal' | 'client';

export interface Check {
  readonly id: string;
  /** What must never be. */
  readonly title: string;
  readonly kind: CheckKind;
  /** The check is left out where this witness is not there. */
  readonly needs?: Witness;
  /** While it has rows, work is still under way: what `--wait` waits for. */
  readonly pending?: true;
  /** Returns the rows that break it, so that an empty result is a pass. */
  readonly sql: string;
}
