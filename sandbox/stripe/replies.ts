/** Answers of the double in the shapes of Stripe's API. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
  /** Whether it is repeated to who asks again under the same key. */
  readonly saved: boolean;
}

export function ok(body: unknown): Reply {
  return { status: 200, body, saved: true };
}

/** A no that was given before anything was done; nothing is remembered of it. */
export function invalid(code: string | undefined, message: string, more: object = {}): Reply {
  return {
    status: 400,
    body: { error: { type: 'invalid_request_error', code, message, ...more } },
    saved: false,
  };
}

export function missing(what: string): Reply {
  const error = {
    type: 'invalid_request_error',
    code: 'resource_missing',
    message: `No such ${what}`,
  };
  return { status: 404, body: { error }, saved: false };
}

export function failure(status: number, type: string, message: string, code?: string): Reply {
  return {
    status,
    body: { error: { type, message, ...(code && { code }) } },
    saved: status === 500,
  };
}
