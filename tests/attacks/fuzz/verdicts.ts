/** What an answer breaks: the document, or what every server owes its callers. */
import type { ValidateFunction } from 'ajv';
import { LEAKS, type Answer } from '../wire.ts';
import type { Case } from './cases.ts';

export type FailureKind =
  | 'no answer'
  | 'server error'
  | 'overload without Retry-After'
  | 'undocumented status'
  | 'undocumented content type'
  | 'body not as documented'
  | 'wrong request accepted'
  | 'fitting request refused'
  | 'inner workings told'
  | 'location leads nowhere'
  | 'replay differs';

export interface Failure {
  readonly kind: FailureKind;
  readonly detail: string;
}

/** Everything that is wrong with the answer to the request. */
export function judge(asked: Case, answer: Answer): Failure[] {
  return [
    ...judgeStatus(asked, answer),
    ...judgeContent(asked, answer),
    ...judgeVerdict(asked, answer),
  ];
}

/** Whether the answer says that the server has too much to do, and when to come back. */
export function isOverload({ status, headers }: Answer): boolean {
  return status === 503 && headers['retry-after'] !== undefined;
}

function judgeStatus({ operation }: Case, answer: Answer): Failure[] {
  const { status } = answer;
  const failures: Failure[] = [];
  const problem = contentType(answer) === 'application/problem+json';
  if (status === 503 && problem && answer.headers['retry-after'] === undefined)
    failures.push({ kind: 'overload without Retry-After', detail: answer.text.slice(0, 200) });
  if (status >= 500 && status !== 503)
    failures.push({ kind: 'server error', detail: `${status} ${answer.text.slice(0, 200)}` });
  if (!operation.responses.has(status))
    failures.push({ kind: 'undocumented status', detail: String(status) });
  const leak = status >= 400 ? LEAKS.exec(answer.text) : null;
  if (leak !== null) failures.push({ kind: 'inner workings told', detail: leak[0] });
  return failures;
}

function judgeContent({ operation }: Case, answer: Answer): Failure[] {
  const documented = operation.responses.get(answer.status);
  if (documented === undefined) return [];
  if (documented.size === 0)
    return answer.text === '' ? [] : [{ kind: 'undocumented content type', detail: 'a body' }];
  const type = contentType(answer);
  const validate = documented.get(type);
  if (validate === undefined)
    return [{ kind: 'undocumented content type', detail: `${answer.status} ${type}` }];
  const value = type.endsWith('json') ? parsed(answer.text) : answer.text;
  if (validate(value)) return [];
  return [{ kind: 'body not as documented', detail: `${answer.status} ${faultOf(validate)}` }];
}

function judgeVerdict({ operation, verdict }: Case, answer: Answer): Failure[] {
  const { status } = answer;
  const accepted = status >= 200 && status < 300;
  if (verdict === 'wrong' && accepted)
    return [{ kind: 'wrong request accepted', detail: String(status) }];
  if (verdict !== 'fits' || accepted || status >= 500) return [];
  const refusal = `${status} ${String(answer.json['code'])}`;
  if (operation.refusals.includes(refusal)) return [];
  return [{ kind: 'fitting request refused', detail: `${refusal} ${answer.text.slice(0, 300)}` }];
}

function contentType({ headers }: Answer): string {
  return (
    String(headers['content-type'] ?? '')
      .split(';')[0]
      ?.trim() ?? ''
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function faultOf({ errors }: ValidateFunction): string {
  const [fault] = errors ?? [];
  return fault === undefined ? 'is no JSON' : `${fault.instancePath} ${fault.message ?? ''}`;
}
