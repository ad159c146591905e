/**
 * The three kinds of error, and no more (STYLE.md).
 *
 * - Refusal: an expected no. Thrown, rolls back, answered with its status, logged at info.
 * - Outage: someone else is down. Answered 503 with Retry-After, retried only at the edges.
 * - Bug: everything else. Answered 500 without detail, logged as an error with its stack.
 */

/** One fault in a request, as RFC 9457 extension member `errors[]`. */
export interface Fault {
  /** JSON pointer (RFC 6901) to the value in the body, or `?name` / `{name}` / `header:name`. */
  readonly pointer: string;
  readonly detail: string;
}

export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string;
  readonly faults: readonly Fault[];
  readonly headers: Readonly<Record<string, string>>;

  /** @param code stable snake_case word declared in the contract; clients branch on it. */
  constructor(
    status: number,
    code: string,
    detail: string,
    more: { faults?: readonly Fault[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.faults = more.faults ?? [];
    this.headers = more.headers ?? {};
  }
}

export class Outage extends Error {
  override readonly name = 'Outage';
  /** What is away: `database`, `bus`, a service's name, `provider`. */
  readonly target: string;
  readonly retryAfterSeconds: number;
  /** The status that it answered with, if it answered. */
  readonly status: number | undefined;

  constructor(
    target: string,
    detail: string,
    more: { cause?: unknown; retryAfterSeconds?: number; status?: number } = {},
  ) {
    super(detail, { cause: more.cause });
    this.target = target;
    this.retryAfterSeconds = more.retryAfterSeconds ?? 1;
    this.status = more.status;
  }
}

/** Content that does not fit, with every fault. */
export function invalidBody(faults: readonly Fault[]): Refusal {
  return new Refusal(422, 'invalid_body', sentenceOf(faults), { faults });
}

/** The first fault as a sentence, for whoever reads no further. */
export function sentenceOf([first, ...others]: readonly Fault[]): string {
  if (first === undefined) return 'The request does not fit its schema.';
  const where = first.pointer === '' ? 'The body' : first.pointer.slice(0, 200);
  const more = others.length === 0 ? '' : `, and ${others.length} more; see errors`;
  return `${where} ${first.detail}${more}.`;
}

/** For what cannot happen unless the code is wrong. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed: ${message}`);
}

/** RFC 9457 problem details. `type` is a URN of the code, stable for clients. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly instance?: string;
  readonly request_id?: string;
  readonly errors?: readonly Fault[];
}

export function problem(
  status: number,
  code: string,
  detail: string,
  requestId?: string,
  faults: readonly Fault[] = [],
): Problem {
  return {
    type: `urn:waybill:problem:${code}`,
    title: code.replaceAll('_', ' ').replace(/^./, (first) => first.toUpperCase()),
    status,
    code,
    detail,
    ...(requestId === undefined ? {} : { request_id: requestId }),
    ...(faults.length === 0 ? {} : { errors: faults }),
  };
}

/** Any error as (status, problem). Nothing of a bug's text leaves the process. */
export function toProblem(error: unknown, requestId?: string): Problem {
  if (error instanceof Refusal)
    return problem(error.status, error.code, error.message, requestId, error.faults);
  if (error instanceof Outage)
    return problem(
      503,
      'temporarily_unavailable',
      `The ${error.target} is not available at the moment; please try again.`,
      requestId,
    );
  return problem(500, 'internal_error', 'An unexpected error happened.', requestId);
}
