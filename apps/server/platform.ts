/** What commands that run no service need of the configuration. */
import {
  ConfigurationFault,
  parseSettings,
  platformSettings,
  readEnvironment,
  type Environment,
  type Platform,
} from '@waybill/kit/config.ts';
import { UsageFault } from './services.ts';

/** The environment with the platform's settings; all their faults at once. */
export function readPlatform(): { environment: Environment; platform: Platform } {
  const environment = readEnvironment();
  const faults: string[] = [];
  const platform = parseSettings(platformSettings, environment, faults);
  if (faults.length > 0) throw new ConfigurationFault(faults);
  return { environment, platform };
}

/** Where the Waybill of this folder listens, if it runs here. */
export function ownUrl(): string {
  return `http://127.0.0.1:${readPlatform().platform.port}`;
}

/** A number on the command line, or a UsageFault that names the option. */
export function numberIn(option: string, min: number, max: number, whole = true) {
  return (text: string): number => {
    const value = Number(text);
    const fits = text.trim() !== '' && value >= min && value <= max;
    if (!fits || (whole && !Number.isInteger(value)))
      throw new UsageFault(
        `${option} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}, not "${text}".`,
      );
    return value;
  };
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A length of time on the command line (90s, 15m, 1h, 7d; seconds without a unit). */
export function secondsIn(option: string) {
  return (text: string): number => {
    const match = /^(\d{1,9})([smhd]?)$/.exec(text.trim());
    const seconds = Number(match?.[1]) * (UNITS[match?.[2] || 's'] ?? 1);
    if (match === null || seconds === 0)
      throw new UsageFault(`${option} must be a time like 90s, 15m, 1h or 7d, not "${text}".`);
    return seconds;
  };
}
