/** The part of autocannon that the bench uses; the package brings no types. */
declare module 'autocannon' {
  import type { EventEmitter } from 'node:events';

  interface Options {
    readonly url: string;
    readonly method?: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    /** Writes a new id where `[<id>]` stands in a request. */
    readonly idReplacement?: boolean;
    /** Sent in turns; changed before each of them is sent. */
    readonly requests?: readonly Request[];
  }

  interface Request {
    readonly method?: string;
    readonly path?: string;
    readonly setupRequest?: (request: object) => object;
  }

  interface Result {
    readonly errors: number;
    readonly timeouts: number;
    readonly non2xx: number;
  }

  function autocannon(
    options: Options,
    done: (error: Error | null, result: Result) => void,
  ): EventEmitter;

  export { autocannon as default };
}
