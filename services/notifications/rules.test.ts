/** What answers mean for a sending, and what mail servers' errors are. */
import { describe, expect, test } from 'vitest';
import { outcomeOf } from './providers/smtp.ts';
import { afterDeadline, afterSending, withoutContact, type Outcome } from './rules.ts';

const policy = { retryAttempts: 3, retryDelaySeconds: 10 };
const fresh = { attempts: 0, outages: 0 };
const outcome = (kind: Outcome['kind'], detail = 'told') => ({ kind, detail }) as Outcome;

describe('an answer', () => {
  test.each(['sent', 'logged'] as const)('%s ends the sending well', (kind) => {
    expect(afterSending({ attempts: 1, outages: 4 }, outcome(kind), policy)).toEqual({
      state: 'SENT',
      attempts: 2,
      outages: 0,
      waiting_for: null,
      entry: { outcome: kind, detail: 'told' },
      delayMs: null,
    });
  });

  test('refused is final at once', () => {
    const next = afterSending(fresh, outcome('refused'), policy);
    expect(next).toMatchObject({ state: 'FAILED', attempts: 1, delayMs: null });
  });

  test('delayed is tried again, ever later, and then given up', () => {
    const delays: (number | null)[] = [];
    let standing = fresh;
    let state = 'WAITING';
    while (state === 'WAITING') {
      const next = afterSending(standing, outcome('delayed'), policy);
      delays.push(next.delayMs);
      ({ state } = next);
      standing = next;
    }
    expect(delays).toEqual([10_000, 20_000, null]);
    expect([state, standing.attempts]).toEqual(['FAILED', 3]);
    const patient = { retryAttempts: 100, retryDelaySeconds: 10 };
    const late = afterSending({ attempts: 90, outages: 0 }, outcome('delayed'), patient);
    expect(late.delayMs).toBe(3_600_000);
  });

  test('that is none uses up no attempt, however often', () => {
    let standing = fresh;
    for (let round = 1; round <= 5000; round++) {
      const next = afterSending(standing, outcome('outage', 'ECONNREFUSED'), policy);
      expect(next).toMatchObject({ state: 'WAITING', attempts: 0, outages: round, entry: null });
      expect(next.delayMs).toBeLessThanOrEqual(60_000);
      expect(next.delayMs).toBeGreaterThan(0);
      standing = next;
    }
  });

  test('that never comes ends with the deadline', () => {
    expect(afterDeadline({ attempts: 2, outages: 9 })).toMatchObject({
      state: 'FAILED',
      attempts: 3,
      entry: { outcome: 'expired' },
    });
  });
});

test('no address is kept of what a server says', () => {
  expect(withoutContact('550 5.1.1 <bob@example.com> unknown,\r\n see bob@example.com')).toBe(
    '550 5.1.1 <(address)> unknown, see (address)',
  );
  const begin = performance.now();
  expect(withoutContact(`${'a@'.repeat(5e5)} ${'@'.repeat(5e5)}`).length).toBeLessThan(400);
  // Quadratic would be minutes.
  expect(performance.now() - begin).toBeLessThan(5000);
});

describe('an error of the mail server', () => {
  const error = (code: string, command?: string, responseCode?: number, response?: string) =>
    Object.assign(new Error('told'), { code, command, responseCode, response });
  test.each([
    [error('ESOCKET', 'CONN'), 'outage'],
    [error('ETIMEDOUT', 'CONN'), 'outage'],
    [error('EDNS'), 'outage'],
    [error('ETLS', 'STARTTLS', 454), 'outage'],
    [error('ECONNECTION', 'CONN', 554), 'outage'],
    [error('EPROTOCOL', 'EHLO', 500), 'outage'],
    [error('EAUTH', 'AUTH LOGIN', 535), 'outage'],
    [error('EABORT'), 'outage'],
    [error('EENVELOPE', 'MAIL FROM', 421), 'outage'],
    [error('EENVELOPE', 'MAIL FROM', 530), 'outage'],
    [error('EENVELOPE', 'RCPT TO', 450, '450 later'), 'delayed'],
    [error('EENVELOPE', 'RCPT TO', 451, '451 later'), 'delayed'],
    [error('EMESSAGE', 'DATA', 452, '452 full'), 'delayed'],
    [error('EENVELOPE', 'RCPT TO', 550, '550 unknown'), 'refused'],
    [error('EENVELOPE', 'MAIL FROM', 550, '550 not you'), 'refused'],
    [error('EMESSAGE', 'DATA', 554, '554 spam'), 'refused'],
    [error('EENVELOPE', 'API'), 'refused'],
    [new Error('anything else'), 'outage'],
  ])('%o is %s', (given, kind) => {
    expect(outcomeOf(given).kind).toBe(kind);
  });
});
