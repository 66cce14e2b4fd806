// Ids that sort by time: ULIDs, as the gateway expects them for messages.

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const TIME_DIGITS = 10;
const RANDOM_DIGITS = 16;

/** 48 bits of time and 80 bits of chance, 26 characters. */
export function ulid(nowMs: number, random: (into: Uint8Array<ArrayBuffer>) => Uint8Array): string {
  let time = '';
  for (let left = Math.floor(nowMs), i = 0; i < TIME_DIGITS; i += 1, left = Math.floor(left / 32))
    time = (ALPHABET[left % 32] ?? '0') + time;
  const bytes = random(new Uint8Array(RANDOM_DIGITS));
  return time + Array.from(bytes, (byte) => ALPHABET[byte % 32] ?? '0').join('');
}

export const newUlid = (): string => ulid(Date.now(), (into) => crypto.getRandomValues(into));
