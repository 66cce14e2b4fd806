// A short glow when a price changes; nothing for users who asked for less motion.
import { useEffect, useRef } from 'react';

const DURATION_MS = 450;
/** A busy market would otherwise glow without end. */
const PAUSE_MS = 250;

export function useFlash(value: number | undefined, direction: 'up' | 'down' | 'same') {
  const element = useRef<HTMLSpanElement>(null);
  const last = useRef<{ value: number | undefined; at: number }>({ value: undefined, at: 0 });

  useEffect(() => {
    const before = last.current;
    if (before.value === value) return;
    const now = performance.now();
    const due = now - before.at > PAUSE_MS;
    last.current = { value, at: due ? now : before.at };
    if (!due || before.value === undefined || direction === 'same') return;
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    const glow = `var(--${direction}-glow)`;
    element.current?.animate([{ backgroundColor: glow }, { backgroundColor: 'transparent' }], DURATION_MS);
  }, [value, direction]);

  return element;
}
