// How long to wait before the next attempt to connect: doubling, capped, and random so that pages do not return at once.

const FIRST_MS = 500;
const CAP_MS = 15_000;

/** The gateway said that it shuts down: its protocol asks for a random 0.5 to 2 s. */
export const CLOSE_RESTARTING = 1012;

/** Delay before attempt number `attempt` (0 = the first after a loss); `random` is in [0, 1). */
export function reconnectDelay(attempt: number, random: number, closeCode?: number): number {
  if (closeCode === CLOSE_RESTARTING && attempt === 0) return 500 + random * 1500;
  const full = Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return full / 2 + (random * full) / 2;
}
