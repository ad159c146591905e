/** The words contracts are written in: TypeBox, and the shapes every service shares. */
import { Type, type Static, type TSchema } from 'typebox';
export { Type, type Static, type TSchema };

/** A pattern, and what a value that does not match it is told: that it must … */
export function matching(pattern: string, must: string) {
  return { pattern, 'x-must': must };
}

/** Text of 1 to `max` code points without control characters. */
export function Text(max: number, options: { description?: string; examples?: string[] } = {}) {
  return Type.String({
    minLength: 1,
    maxLength: max,
    ...matching('^[^\\u0000-\\u001f\\u007f]*$', 'hold no control characters'),
    ...options,
  });
}

const IDENTIFIER =
  '(?!\\s)[^\\u0000-\\u001f\\u007f-\\u009f\\u200b-\\u200f' +
  '\\u202a-\\u202e\\u2060-\\u2069\\ufeff]*(?<!\\s)$';

const VISIBLE = 'neither begin nor end with white space nor hold invisible characters';

/**
 * An identifier a client chose: 1 to `max` code points, no white space at the ends, no control,
 * direction-changing or zero-width characters. Services normalise it to NFC.
 */
export function Identifier(max = 128, options: { description?: string; examples?: string[] } = {}) {
  const match = matching(`^${IDENTIFIER}`, VISIBLE);
  return Type.String({ minLength: 1, maxLength: max, ...match, ...options });
}

/** An identifier that stands in a path, where `/` and a mere `.` or `..` mean something else. */
export function PathIdentifier(
  max = 128,
  options: { description?: string; examples?: string[] } = {},
) {
  const match = matching(`^(?!\\.{1,2}$|[^/]*/)${IDENTIFIER}`, `hold no "/", and ${VISIBLE}`);
  return Type.String({ minLength: 1, maxLength: max, ...match, ...options });
}

/**
 * An e-mail address as people have them: ASCII, without quotes, comments or a literal address (the
 * pattern of HTML, whose every repetition is bounded or followed by another character).
 */
export function EmailAddress(options: { description?: string } = {}) {
  const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
  return Type.String({
    maxLength: 254,
    ...matching(
      `^[A-Za-z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@${label}(?:\\.${label})*$`,
      'be an e-mail address such as ada@example.com',
    ),
    examples: ['ada@example.com'],
    ...options,
  });
}

/** A telephone number as people write it: digits, and what they group them with. */
export function PhoneNumber(options: { description?: string } = {}) {
  return Type.String({
    minLength: 3,
    maxLength: 32,
    ...matching('^\\+?[0-9(][0-9 ()./-]*$', 'be a telephone number such as +1 555 0100'),
    examples: ['+1 555 0100'],
    ...options,
  });
}

/** A literal union as one `enum`, which documents well. */
export function OneOf<const Values extends readonly string[]>(
  values: Values,
  options: { description?: string; examples?: readonly Values[number][] } = {},
) {
  return Type.Unsafe<Values[number]>({ type: 'string', enum: [...values], ...options });
}

export const Timestamp = Type.String({ format: 'date-time', description: 'RFC 3339, UTC' });

/** A moment in a query, as people write it; kit/moments.ts reads it. */
export const Moment = Type.String({
  ...matching(
    '^\\d{4}-\\d{2}-\\d{2}([Tt ]\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,9})?)?' +
      '([Zz]|[+ -]\\d{2}:?\\d{2})?)?$',
    'be a date or RFC 3339 time such as 2026-01-02T15:04:05Z',
  ),
  maxLength: 40,
  description: 'RFC 3339 time, or a date (its first moment, UTC).',
  examples: ['2026-01-02'],
});

/** Decimal number in major units, e.g. 12.99. */
export const Amount = Type.Number({ description: 'Decimal amount in major units, e.g. 12.99' });

export function Nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Union([schema, Type.Null()]);
}

/** RFC 9457 problem details, the shape of every error answer. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'URN of the code' }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable word to branch on' }),
    detail: Type.String(),
    request_id: Type.Optional(Type.String()),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({ description: 'JSON pointer, ?query or {path} parameter' }),
          detail: Type.String(),
        }),
      ),
    ),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details' },
);

/** Paging by page number or by cursor; every list takes it (spec chapter 0.2). */
export const pagingQuery = {
  page: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'From 1' })),
  page_size: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: 400, description: 'next_cursor of an earlier page' }),
  ),
};

/** What such a list says of the page beside its items. */
export function pageReply(cursor: { description?: string; examples?: string[] } = {}) {
  return {
    total: Type.Integer({ description: 'Exact to 10 000.' }),
    total_is_estimate: Type.Optional(Type.Boolean()),
    page: Type.Integer(),
    page_size: Type.Integer(),
    next_cursor: Nullable(Type.String(cursor)),
  };
}
