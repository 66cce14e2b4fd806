// The chart holds a window of a long series; it moves with the view and never under the user's hand.
import { describe, expect, test } from 'vitest';
import { moveWindow, tailWindow } from '../../src/chart/chart-window';

const LENGTH = 86_400;

describe('the window over a long series', () => {
  test('starts at the end and is much shorter than the series', () => {
    const window = tailWindow(LENGTH, 150);
    expect(window.end).toBe(LENGTH);
    expect(window.end - window.start).toBeLessThan(2000);
  });

  test('holds a short series whole', () => {
    expect(tailWindow(40, 150)).toEqual({ start: 0, end: 40 });
    expect(moveWindow(40, { start: 0, end: 40 }, { from: -110, to: 46 }, false)).toBeUndefined();
  });

  test('stays while the view is well inside', () => {
    const window = { start: 80_000, end: 84_000 };
    expect(moveWindow(LENGTH, window, { from: 81_900, to: 82_050 }, false)).toBeUndefined();
  });

  test('moves back when the view comes near its left side', () => {
    const window = tailWindow(LENGTH, 150);
    const view = { from: window.start + 100, to: window.start + 250 };
    const next = moveWindow(LENGTH, window, view, false);
    expect(next?.start).toBeLessThan(window.start);
    expect(next?.end).toBeGreaterThan(view.to + 1000);
  });

  test('only grows to the left while the user drags', () => {
    const window = { start: 50_000, end: 52_500 };
    const next = moveWindow(LENGTH, window, { from: 50_100, to: 50_250 }, true);
    expect(next?.end).toBe(52_500);
    expect(next?.start).toBeLessThan(50_000);
    expect(moveWindow(LENGTH, window, { from: 52_300, to: 52_450 }, true)).toBeUndefined();
  });

  test('moves forward again when the hand is off', () => {
    const next = moveWindow(LENGTH, { start: 50_000, end: 52_500 }, { from: 52_300, to: 52_450 }, false);
    expect(next?.end).toBeGreaterThan(53_000);
  });

  test('reaches the live end and stops there', () => {
    const next = moveWindow(LENGTH, { start: 84_000, end: 86_000 }, { from: 85_800, to: 85_950 }, false);
    expect(next?.end).toBe(LENGTH);
  });

  test('never grows without bound, however far the user drags', () => {
    let window = tailWindow(LENGTH, 2000);
    for (let from = LENGTH - 2000; from > 0; from -= 700) {
      const view = { from, to: from + 2000 };
      window = moveWindow(LENGTH, window, view, false) ?? window;
      expect(window.start).toBeLessThanOrEqual(Math.max(0, view.from));
      expect(window.end).toBeGreaterThanOrEqual(view.to);
      expect(window.end - window.start).toBeLessThan(20_000);
    }
    expect(window.start).toBe(0);
  });
});
