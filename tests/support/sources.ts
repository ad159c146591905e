/** The repository's own files, and how the house rules look into them. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

export const root = path.resolve(import.meta.dirname, '../..');

/** A file as the rules see it: its path from the root, with forward slashes, and its text. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

const binary = /\.(png|jpe?g|webp|ico|gif|woff2?|gz|zip|pdf)$/;

/** Every file that is tracked, or would be by the next `git add`. */
export function repositoryFiles(): Source[] {
  const listed = execFileSync(
    'git',
    ['ls-files', '--cached', '--others', '--exclude-standard', '-z'],
    { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  return listed
    .split('\0')
    .filter((file) => file !== '' && !binary.test(file) && existsSync(path.join(root, file)))
    .map((file) => ({ path: file, text: readFileSync(path.join(root, file), 'utf8') }));
}

export function isCode(file: string): boolean {
  return /\.(ts|tsx|mjs)$/.test(file) && !isGenerated(file);
}

export function isGenerated(file: string): boolean {
  return /(^|\/)generated\//.test(file) || file === 'package-lock.json';
}

export function isTest(file: string): boolean {
  return /\.test\.tsx?$/.test(file) || file.startsWith('tests/');
}

/** Whether a path lies in one of the folders, or is one of the files. */
export function within(file: string, places: readonly string[]): boolean {
  return places.some((place) => file === place || (place.endsWith('/') && file.startsWith(place)));
}

const parsed = new WeakMap<Source, ts.SourceFile>();

export function parse(source: Source): ts.SourceFile {
  const known = parsed.get(source);
  if (known !== undefined) return known;
  const file = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest, true);
  parsed.set(source, file);
  return file;
}

/** Every node of the file, parents before children. */
export function* nodes(source: Source): Generator<ts.Node> {
  const waiting: ts.Node[] = [parse(source)];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    yield node;
    node.forEachChild((child) => {
      waiting.push(child);
    });
  }
}

export function lineOf(node: ts.Node): number {
  const file = node.getSourceFile();
  return file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
}

/** The lines on which the pattern is found. */
export function linesMatching(source: Source, pattern: RegExp): string[] {
  return source.text
    .split('\n')
    .flatMap((line, index) => (pattern.test(line) ? [`line ${index + 1}: ${line.trim()}`] : []));
}

/** The nodes of the code for which `matches` holds, as lines. */
export function nodesMatching(source: Source, matches: (node: ts.Node) => boolean): string[] {
  const found: string[] = [];
  for (const node of nodes(source)) {
    if (!matches(node)) continue;
    found.push(`line ${lineOf(node)}: ${node.getText().split('\n', 1)[0]}`);
  }
  return found;
}
