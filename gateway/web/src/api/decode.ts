// Checks unknown JSON field by field. What does not fit is refused with the path of the field, never guessed.

/** Something in an answer of the gateway is not what the contract says. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
  readonly path: string;

  constructor(path: string, expected: string) {
    super(`${path || 'answer'}: expected ${expected}`);
    this.path = path;
  }
}

export type Json = Readonly<Record<string, unknown>>;

export function asRecord(value: unknown, path = ''): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DecodeError(path, 'an object');
  return value as Json;
}

export function asString(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new DecodeError(path, 'text');
  return value;
}

export function asBoolean(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') throw new DecodeError(path, 'true or false');
  return value;
}

export function asNumber(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new DecodeError(path, 'a number');
  return value;
}

/** A decimal written as text (`"67012.50"`), as a number for drawing and showing. */
export function asDecimal(value: unknown, path: string): number {
  const number = typeof value === 'string' && value !== '' ? Number(value) : Number.NaN;
  if (!Number.isFinite(number)) throw new DecodeError(path, 'a decimal as text');
  return number;
}

/** An RFC 3339 time, as milliseconds since the epoch. */
export function asTime(value: unknown, path: string): number {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(ms)) throw new DecodeError(path, 'an RFC 3339 time');
  return ms;
}

/** A time as RFC 3339 or as a count of seconds, milliseconds or nanoseconds since the epoch, as milliseconds. */
export function asMoment(value: unknown, path: string): number {
  if (typeof value !== 'number') return asTime(value, path);
  const number = asNumber(value, path);
  if (number > 1e16) return number / 1e6;
  return number > 1e11 ? number : number * 1000;
}

export function asOneOf<const T extends string>(value: unknown, allowed: readonly T[], path: string): T {
  const found = allowed.find((item) => item === value);
  if (found === undefined) throw new DecodeError(path, allowed.join(' | '));
  return found;
}

export function asList<T>(value: unknown, item: (value: unknown, path: string) => T, path: string): T[] {
  if (!Array.isArray(value)) throw new DecodeError(path, 'a list');
  return value.map((entry, index) => item(entry, `${path}[${index}]`));
}

/** Applies `decode` unless the field is null or absent. */
export function optional<T>(
  value: unknown,
  decode: (value: unknown, path: string) => T,
  path: string,
): T | undefined {
  return value === null || value === undefined ? undefined : decode(value, path);
}
