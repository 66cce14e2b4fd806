// What the command palette can do besides opening symbols, and how typed words find it.
import type { Platform } from '../app/platform';
import { chosenLabel, INDICATORS, withDefaults } from '../indicators/catalog';
import { symbolOf, venueOf } from '../market/instrument';
import { INTERVALS, intervalLabel, intervalName } from '../market/interval';

export interface Command {
  readonly id: string;
  readonly group: 'Watch list' | 'Symbols' | 'Timeframe' | 'Indicators' | 'Page';
  readonly title: string;
  readonly hint: string;
  /** The key that does the same. */
  readonly key?: string;
  readonly run: () => void;
}

/** All commands in the order shown for an empty query. */
export function commandsOf(platform: Platform): Command[] {
  const { view, watchList, indicators, theme } = platform;
  const watched = (watchList.items.get() ?? []).map(
    (id): Command => ({
      id: `open ${id}`,
      group: 'Watch list',
      title: symbolOf(id),
      hint: venueOf(id),
      run: () => view.open(id),
    }),
  );
  const timeframes = INTERVALS.map(
    (interval, index): Command => ({
      id: interval,
      group: 'Timeframe',
      title: intervalLabel(interval),
      hint: intervalName(interval),
      key: String(index + 1),
      run: () => view.interval.set(interval),
    }),
  );
  const toggles = INDICATORS.map(
    ({ kind, title }): Command => ({
      id: kind,
      group: 'Indicators',
      title: chosenLabel(withDefaults(kind)),
      hint: title,
      run: () => indicators.toggle(kind),
    }),
  );
  const page: Command[] = [
    { id: 'dark', group: 'Page', title: 'Dark theme', hint: '', run: () => theme.choose('dark') },
    { id: 'light', group: 'Page', title: 'Light theme', hint: '', run: () => theme.choose('light') },
    {
      id: 'system',
      group: 'Page',
      title: 'Theme of the system',
      hint: '',
      run: () => theme.choose('system'),
    },
    {
      id: 'keys',
      group: 'Page',
      title: 'Keyboard shortcuts',
      hint: '',
      key: '?',
      run: () => view.overlay.set('shortcuts'),
    },
  ];
  return [...watched, ...timeframes, ...toggles, ...page];
}

/** Every typed word must begin a word of the command. */
export function matches(command: Command, typed: string): boolean {
  const words = `${command.group} ${command.title} ${command.hint}`.toLowerCase().split(/[\s/·:-]+/);
  const whole = command.title.toLowerCase();
  return typed
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
    .every((word) => whole.startsWith(word) || words.some((candidate) => candidate.startsWith(word)));
}
