// Arrow keys over a list of options while the focus stays in a text field (the combobox pattern).
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';

interface ListNavigation {
  readonly active: number;
  readonly setActive: (index: number) => void;
  /** Handles arrows, Home, End and Enter; true when the key was one of them. */
  readonly onKey: (event: KeyboardEvent) => boolean;
  readonly optionId: (index: number) => string;
}

/** `resetOn` brings the mark back to the first option, for example when the query changes. */
export function useListNavigation(
  id: string,
  count: number,
  resetOn: string,
  choose: (index: number, event: KeyboardEvent) => void,
): ListNavigation {
  const [position, setPosition] = useState({ index: 0, of: resetOn });
  const keyboard = useRef(false);
  const index = position.of === resetOn ? position.index : 0;
  const active = Math.min(index, count - 1);
  const optionId = (option: number) => `${id}-option-${option}`;

  useEffect(() => {
    if (!keyboard.current) return;
    document.getElementById(`${id}-option-${active}`)?.scrollIntoView({ block: 'nearest' });
  }, [active, id]);

  const move = (next: number) => {
    keyboard.current = true;
    setPosition({ index: next, of: resetOn });
  };

  const onKey = (event: KeyboardEvent): boolean => {
    if (count === 0) return false;
    if (event.key === 'ArrowDown') move((active + 1) % count);
    else if (event.key === 'ArrowUp') move((active - 1 + count) % count);
    else if (event.key === 'Enter') choose(active, event);
    else return false;
    event.preventDefault();
    return true;
  };

  const setActive = (next: number) => {
    keyboard.current = false;
    setPosition({ index: next, of: resetOn });
  };
  return { active, setActive, onKey, optionId };
}
