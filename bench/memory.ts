/** Memory and processor time of processes, as Linux tells them. */
import { readdirSync, readFileSync } from 'node:fs';

const MB = 1024;
/** Of /proc/…/stat; fixed on Linux. */
const TICKS_A_SECOND = 100;

/** Whether this system can tell. */
export function canMeasureMemory(): boolean {
  return process.platform === 'linux';
}

/** Resident memory in MB. */
export function residentMb(pid: number): number {
  return kilobytes(`/proc/${pid}/status`, 'VmRSS') / MB;
}

/**
 * Memory of a process and its children in MB, what they share counted once: PostgreSQL's
 * processes all hold the same buffers.
 */
export function familyMb(pid: number): number {
  let sum = 0;
  for (const member of [pid, ...childrenOf(pid)]) {
    try {
      sum += kilobytes(`/proc/${member}/smaps_rollup`, 'Pss');
    } catch {
      // It ended meanwhile, as connections do.
    }
  }
  return sum / MB;
}

export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => {
      try {
        return Number(statOf(candidate)[1]) === pid;
      } catch {
        return false;
      }
    });
}

/** Seconds of processor time that the process has used, and children of it that have ended. */
export function processorSeconds(pid: number): number {
  const ticks = statOf(pid).slice(11, 15).map(Number);
  return ticks.reduce((sum, part) => sum + part, 0) / TICKS_A_SECOND;
}

/** The fields after the program's name, which may hold spaces: state, parent, … */
function statOf(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function kilobytes(file: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'));
  if (match === null) throw new Error(`${file} has no ${field}`);
  return Number(match[1]);
}
