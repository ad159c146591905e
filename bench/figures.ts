/** What a topic hands over, figures with their floors and peers; and what it is given. */

export type Unit = '/s' | 'µs' | 'ms' | 's' | 'MB' | '%';

/** A floor or a peer, measured in the same run. */
export interface Peer {
  readonly name: string;
  readonly values: readonly number[];
}

export interface Figure {
  readonly name: string;
  readonly unit: Unit;
  /** One value a round. Empty: it was not run, and `note` says why. */
  readonly values: readonly number[];
  readonly peers: readonly Peer[];
  readonly note?: string;
}

export interface TopicResult {
  readonly topic: string;
  readonly figures: readonly Figure[];
}

/** What a topic is run with. */
export interface Run {
  /** How long each measurement lasts. */
  readonly seconds: number;
  readonly rounds: number;
  /** The greater of the two sizes of `growth`. */
  readonly orders: number;
  /** What was started and must end, whatever happens; ended in reverse order. */
  readonly stack: AsyncDisposableStack;
  /** One line of progress. */
  say(text: string): void;
}

export type Topic = (run: Run) => Promise<readonly Figure[]>;
