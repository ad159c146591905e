/** The words of e-mails: whatever goes into them stays text. */
import { describe, expect, test } from 'vitest';
import { TEMPLATES } from './contract.ts';
import { oneLine, word, type Filling } from './templates.ts';

const filling: Filling = { type: 'SUCCESS', username: 'ada', text: 'It is paid.', data: {} };
const hostile = '"><script>alert(1)</script>\r\nBcc: eve@example.com\u2028&amp;';

describe.each(TEMPLATES)('%s', (template) => {
  test('has a subject of one line, a text and HTML', () => {
    const { subject, text, html } = word(template, filling);
    expect(subject).toMatch(/^\S.{4,198}$/);
    expect(text.trim()).not.toBe('');
    expect(html).toMatch(/^<!doctype html>/);
  });

  test('escapes whatever goes into it', () => {
    const filledWith = (text: string) => {
      const names = ['username', 'link', 'number', 'total', 'currency', 'anything'];
      const data = Object.fromEntries(names.map((name) => [name, text]));
      return word(template, { ...filling, username: text, text, data });
    };
    const tags = ({ html }: { html: string }) =>
      html.match(/<[^>]*>/g)?.filter((tag) => tag !== '<br>');
    expect(tags(filledWith(hostile))).toEqual(tags(filledWith('x')));
    expect(filledWith(hostile).subject).not.toMatch(/[\r\n\u2028]/);
  });
});

test('the link of a new password is in both', () => {
  const link = 'https://shop.example.com/reset?token=a&b=1';
  const { text, html } = word('reset_password', { ...filling, data: { link } });
  expect(text).toContain(`\n${link}\n`);
  expect(html).toContain('href="https://shop.example.com/reset?token=a&amp;b=1"');
});

test.each(['javascript:alert(1)', 'data:text/html,x', ' https://x', 'https://x y', 'x', 7, null])(
  'a link like %j is none',
  (link) => {
    const { text, html } = word('verify_email', { ...filling, data: { link } });
    expect(html).not.toContain('<a ');
    expect(text).not.toContain(String(link ?? 'null'));
  },
);

test('an order is named, and what it cost', () => {
  const data = { number: 1_000_000_007, total: '19.00', currency: 'USD' };
  const paid = word('order_paid', { ...filling, data });
  expect(paid.subject).toBe('Your order 1000000007 is paid');
  expect(paid.text).toContain('Paid: 19.00 USD');
  expect(word('order_unpaid', filling).subject).toBe('Your order could not be paid');
});

test('lines of a text stay lines', () => {
  expect(word('plain', { ...filling, text: 'one\r\ntwo' }).html).toContain('one<br>two');
});

test('a header is cut without breaking a character', () => {
  const line = oneLine(`${'a'.repeat(199)}😀`);
  expect(line.length).toBeLessThanOrEqual(200);
  expect(line.isWellFormed()).toBe(true);
});
