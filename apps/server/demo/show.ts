/** How a demonstration shows itself: a bar on a terminal, else a plain line a second; a summary. */
import { progress } from '@clack/prompts';
import { monotonicMs } from '@waybill/kit/clock.ts';
import { renderTable } from '../text-table.ts';
import { byStatus, openOrders, spread, type Figures } from './figures.ts';

export interface Display {
  /** Ends the live part. */
  stop(): void;
}

/** What is shown while something goes on. */
export interface Shown {
  readonly title: string;
  /** How much there is to do, and how much of it is done. */
  readonly most: number;
  done(): number;
  describe(): string;
  readonly beganMs: number;
}

/** Shows the figures as they change, until it is stopped. */
export function showProgress(figures: Figures): Display {
  return show({
    title: 'placing orders',
    most: figures.wanted,
    done: () => figures.orders.size - openOrders(figures).length,
    describe: () => describe(figures),
    beganMs: figures.beganMs,
  });
}

/** Shows what goes on, until it is stopped. */
export function show(shown: Shown): Display {
  return process.stdout.isTTY ? showBar(shown) : showLines(shown);
}

const BAR_SIZE = 20;
const BAR_MS = 120;
const LINE_MS = 1000;

function showBar({ title, most, done, describe: tell }: Shown): Display {
  const bar = progress({ max: most, size: BAR_SIZE, style: 'heavy' });
  bar.start(title);
  let shown = 0;
  const draw = () => {
    const now = done();
    bar.advance(now - shown, fit(tell()));
    shown = now;
  };
  const timer = setInterval(draw, BAR_MS);
  return {
    stop() {
      clearInterval(timer);
      draw();
      bar.stop(tell());
    },
  };
}

function showLines({ beganMs, describe: tell }: Shown): Display {
  const draw = () => {
    const seconds = Math.round((monotonicMs() - beganMs) / 1000);
    process.stdout.write(`${seconds} s: ${tell()}\n`);
  };
  const timer = setInterval(draw, LINE_MS);
  return { stop: () => clearInterval(timer) };
}

function describe(figures: Figures): string {
  const [p50, p95, p99] = spread(figures.acceptance);
  const states = byStatus(figures).map(([status, count]) => `${count} ${status}`);
  return [
    `${figures.accepted} of ${figures.wanted} accepted, ${rateOf(figures)}/s`,
    `p50 ${p50} p95 ${p95} p99 ${p99}`,
    ...(figures.repeats === 0 ? [] : [`${figures.repeats} tried again`]),
    ...(states.length === 0 ? [] : [states.join(', ')]),
  ].join(' · ');
}

/** One line beside the bar, whatever the terminal's width. */
function fit(text: string): string {
  const room = Math.max(20, (process.stdout.columns || 80) - BAR_SIZE - 8);
  return text.length > room ? `${text.slice(0, room - 1)}…` : text;
}

function rateOf(figures: Figures): string {
  const seconds = (figures.acceptedMs - figures.beganMs) / 1000;
  return (seconds > 0 ? figures.accepted / seconds : 0).toFixed(0);
}

/** The summary at the end. */
export function renderSummary(figures: Figures): string {
  const { accepted, wanted, repeats, givenUp, reasons } = figures;
  const open = openOrders(figures).length;
  const rows = [
    ['accepted', `${accepted} of ${wanted}`, `${rateOf(figures)} orders/s`],
    ...byStatus(figures).map(([status, count]) => [
      status.toLowerCase().replaceAll('_', ' '),
      String(count),
      status === 'PAYMENT_FAILED'
        ? [...reasons].map(([reason, times]) => `${times} × ${reason}`).join(', ')
        : '',
    ]),
    ['still open', String(open), ''],
    ...(repeats === 0 ? [] : [['tried again', String(repeats), '429, 5xx or no answer']]),
    ...(givenUp === 0 ? [] : [['given up', String(givenUp), 'no answer for a minute']]),
  ];
  return [
    renderTable(['orders', 'count', ''], rows),
    renderTable(
      ['time', 'p50', 'p95', 'p99', 'max'],
      [
        ['to be accepted', ...spread(figures.acceptance)],
        ['from accepted to settled', ...spread(figures.settlement)],
      ],
    ),
  ].join('\n\n');
}
