/**
 * A copy of the sources to run from: for planted bugs, and for long runs that must not see what is
 * edited meanwhile. Packages are linked; the workspaces' own names lead into the copy.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';

export const repository = resolve(import.meta.dirname, '../../..');

const FOLDERS = ['apps', 'kit', 'sandbox', 'services'];
const OWN = '@waybill';

export interface Tree {
  readonly root: string;
  /** Replaces a text that must stand exactly once in the file; returns how to put it back. */
  plant(file: string, find: string, replace: string): () => void;
  remove(): void;
}

export function copyTree(): Tree {
  const root = mkdtempSync(join(tmpdir(), 'waybill-tree-'));
  for (const folder of FOLDERS)
    cpSync(join(repository, folder), join(root, folder), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !/[/\\](node_modules|dist|\.waybill)$/.test(path),
    });
  cpSync(join(repository, 'package.json'), join(root, 'package.json'));
  linkPackages(root);
  return {
    root,
    plant(file, find, replace) {
      const path = join(root, file);
      const text = readFileSync(path, 'utf8');
      if (text.split(find).length !== 2)
        throw new Error(`${file} does not have exactly one ${JSON.stringify(find)}`);
      writeFileSync(
        path,
        text.replace(find, () => replace),
      );
      return () => writeFileSync(path, text);
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

function linkPackages(root: string): void {
  const packages = join(repository, 'node_modules');
  mkdirSync(join(root, 'node_modules', OWN), { recursive: true });
  for (const name of readdirSync(packages))
    if (name !== OWN) symlinkSync(join(packages, name), join(root, 'node_modules', name));
  for (const name of readdirSync(join(packages, OWN))) {
    const place = resolve(packages, OWN, readlinkSync(join(packages, OWN, name)));
    symlinkSync(join(root, relative(repository, place)), join(root, 'node_modules', OWN, name));
    // What npm could not put at the top.
    const nested = join(place, 'node_modules');
    const copy = join(root, relative(repository, place));
    if (existsSync(nested) && existsSync(copy)) symlinkSync(nested, join(copy, 'node_modules'));
  }
}
