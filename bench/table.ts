/** The table: every figure beside its floors and peers, as Markdown that reads well as text. */
import type { Figure, Peer, TopicResult, Unit } from './figures.ts';
import { ratio, spread } from './statistics.ts';

const HEAD = ['figure', 'measured (min – max)', 'beside', 'measured (min – max)', 'ratio'];
const BEGIN = '<!-- table: begin -->';
const END = '<!-- table: end -->';

/** A number with its unit, to three or four digits: `23 600/s`, `2.15 ms`. */
export function formatValue(value: number, unit: Unit): string {
  return unit === '/s' || unit === '%' ? `${digits(value)}${unit}` : `${digits(value)} ${unit}`;
}

function digits(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size < 10) return value.toFixed(2);
  if (size < 100) return value.toFixed(1);
  return grouped(Math.round(value));
}

/** `1 000 000` */
export function grouped(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
}

/** `23 600/s (22 900 – 24 010)`; a single round has no range. */
export function formatSpread(values: readonly number[], unit: Unit): string {
  const { median, min, max } = spread(values);
  if (values.length < 2) return formatValue(median, unit);
  return `${formatValue(median, unit)} (${digits(min)} – ${digits(max)})`;
}

function rowsOf(figure: Figure): string[][] {
  if (figure.values.length === 0) return [[figure.name, 'not run', figure.note ?? '', '', '']];
  const measured = formatSpread(figure.values, figure.unit);
  if (figure.peers.length === 0) return [[figure.name, measured, figure.note ?? '', '', '']];
  return figure.peers.map((peer: Peer, index) => [
    index === 0 ? figure.name : '',
    index === 0 ? measured : '',
    peer.name,
    formatSpread(peer.values, figure.unit),
    ratio(figure.values, peer.values).toFixed(2),
  ]);
}

/** The whole table, one group of rows for each topic. */
export function renderTable(results: readonly TopicResult[]): string {
  const rows = results.flatMap(({ topic, figures }) => [
    [`**${topic}**`, '', '', '', ''],
    ...figures.flatMap(rowsOf),
  ]);
  const widths = HEAD.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] as string).length)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] as number)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(HEAD), rule, ...rows.map(line)].join('\n');
}

/** The document with its marked section replaced. */
export function replaceSection(document: string, section: string): string {
  const from = document.indexOf(BEGIN);
  const to = document.indexOf(END);
  if (from < 0 || to < from) throw new Error(`the document has no ${BEGIN} … ${END}`);
  return `${document.slice(0, from + BEGIN.length)}\n\n${section.trim()}\n\n${document.slice(to)}`;
}
