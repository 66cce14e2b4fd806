// Which part of a long series the chart holds. A day of one-second candles is 86 400 bars; the chart is given a few
// thousand around the view, so that its cost does not grow with the history.

/** Positions are indexes into the whole series; `end` is exclusive. */
export interface Window {
  readonly start: number;
  readonly end: number;
}

export interface View {
  /** First and last visible position; may lie outside the series. */
  readonly from: number;
  readonly to: number;
}

/** Held on each side of the view after a move. */
const margin = (visible: number): number => Math.max(1200, Math.ceil(visible * 2));
/** The window moves when less than this is left on one side. */
const reserve = (visible: number): number => Math.max(300, Math.ceil(visible * 0.75));

/** The window that shows the end of the series. */
export const tailWindow = (length: number, visible: number): Window => ({
  start: Math.max(0, length - Math.ceil(visible) - margin(visible)),
  end: length,
});

/**
 * The next window, or undefined when the present one still fits.
 *
 * While the user drags (`held`), the chart measures the drag from its right end: then only the left side may grow.
 * Everything else waits until the hand is off.
 */
export function moveWindow(length: number, window: Window, view: View, held: boolean): Window | undefined {
  const visible = Math.max(1, view.to - view.from);
  const start = Math.max(0, Math.floor(view.from) - margin(visible));
  const nearLeft = window.start > 0 && view.from - window.start < reserve(visible);
  if (held) return nearLeft && start < window.start ? { start, end: window.end } : undefined;

  const nearRight = window.end < length && window.end - view.to < reserve(visible);
  const tooLong = window.end - window.start > visible + 4 * margin(visible);
  if (!nearLeft && !nearRight && !tooLong) return undefined;
  const end = Math.min(length, Math.max(Math.ceil(view.to) + margin(visible), start + 1));
  return start === window.start && end === window.end ? undefined : { start, end };
}
