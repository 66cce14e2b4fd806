// Members of objects whose shape the page does not know (limits, usage, counts), in words.
import { formatCount } from './number';

/** `messages_per_day` → `Messages per day`, `mcp_requests` → `MCP requests`. */
export const nameOf = (key: string): string => {
  const words = key.replaceAll('_', ' ').replace(/\b(?:api|cpu|mcp)\b/g, (word) => word.toUpperCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
};

const MIB = 1 << 20;

/** A limit by the unit that its name ends in: bytes, seconds, thousandths of a core. */
export function limitOf(key: string, value: unknown): readonly [name: string, words: string] {
  const unit = /_(bytes|s|millicores)$/.exec(key)?.[1];
  const name = nameOf(unit === undefined ? key : key.slice(0, -unit.length - 1));
  if (value === null) return [name, unit === 's' ? 'never' : 'no limit'];
  if (typeof value !== 'number' || unit === undefined) return [name, wordsOf(value)];
  if (unit === 's') return [name, value < 120 ? `${value} s` : `${formatCount(value / 60)} min`];
  if (unit === 'millicores') return [name, value === 1000 ? '1 core' : `${value / 1000} cores`];
  const size = value / MIB;
  return [name, size >= 1024 ? `${formatCount(size / 1024)} GiB` : `${formatCount(size)} MiB`];
}

/** One line of what a value says. */
export function wordsOf(value: unknown): string {
  if (value === null || value === undefined) return 'no limit';
  if (typeof value === 'number') return formatCount(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(wordsOf).join(', ');
  return Object.entries(value)
    .map(([key, item]) => `${key.replaceAll('_', ' ')} ${wordsOf(item)}`)
    .join(' · ');
}
