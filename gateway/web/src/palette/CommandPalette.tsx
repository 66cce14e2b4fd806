// Ctrl-K: one field that finds symbols, timeframes, indicators and themes.
import { useEffect, useId, useMemo, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { SearchSession } from '../search/search-session';
import { useStore } from '../state/store';
import { Dialog } from '../ui/Dialog';
import { SearchIcon } from '../ui/icons';
import { useListNavigation } from '../ui/use-list-navigation';
import { type Command, commandsOf, matches } from './commands';
import './palette.css';

export function CommandPalette({ onClose }: { readonly onClose: () => void }) {
  const platform = usePlatform();
  const { fetchInstruments, instruments, view } = platform;
  const [session] = useState(() => new SearchSession(fetchInstruments, instruments.learn));
  const search = useStore(session.state);
  const [commands] = useState(() => commandsOf(platform));
  const listId = useId();
  const { text } = search;

  useEffect(() => session.clear, [session]);

  const shown = useMemo((): Command[] => {
    const found = commands.filter((command) => matches(command, text));
    const known = new Set(found.map(({ id }) => id));
    const symbols = (text.trim() === '' ? [] : search.results).map(
      (instrument): Command => ({
        id: `open ${instrument.id}`,
        group: 'Symbols',
        title: instrument.symbol,
        hint: instrument.venue,
        run: () => view.open(instrument.id),
      }),
    );
    return [...found, ...symbols.filter(({ id }) => !known.has(id))];
  }, [commands, text, search.results, view]);

  const run = (command: Command | undefined) => {
    if (command === undefined) return;
    onClose();
    command.run();
  };
  const navigation = useListNavigation(listId, shown.length, text, (index) => run(shown[index]));

  return (
    <Dialog label="Commands" className="palette" onClose={onClose}>
      <div className="palette-field">
        <SearchIcon />
        <input
          type="text"
          role="combobox"
          autoFocus
          autoComplete="off"
          spellCheck={false}
          placeholder="Symbol, timeframe, indicator, theme"
          aria-label="Commands"
          aria-expanded="true"
          aria-controls={listId}
          aria-activedescendant={shown.length > 0 ? navigation.optionId(navigation.active) : undefined}
          value={text}
          onChange={(event) => session.setText(event.target.value)}
          onKeyDown={navigation.onKey}
        />
        <kbd>Esc</kbd>
      </div>
      <div
        className="palette-list"
        role="listbox"
        id={listId}
        aria-label="Commands"
        aria-busy={search.phase === 'loading'}
      >
        {shown.map((command, index) => (
          <Option
            key={command.id}
            id={navigation.optionId(index)}
            command={command}
            heading={shown[index - 1]?.group !== command.group}
            active={index === navigation.active}
            onPoint={() => navigation.setActive(index)}
            onRun={() => run(command)}
          />
        ))}
        {shown.length === 0 && (
          <p className="palette-empty" role="status">
            {search.phase === 'loading' && 'Looking for symbols…'}
            {search.phase === 'failed' && `${search.error?.message ?? ''} ${search.error?.advice ?? ''}`}
            {search.phase === 'ready' && 'Nothing found. Try a base such as BTC, or a timeframe such as 5m.'}
          </p>
        )}
      </div>
    </Dialog>
  );
}

interface OptionProps {
  readonly id: string;
  readonly command: Command;
  readonly heading: boolean;
  readonly active: boolean;
  readonly onPoint: () => void;
  readonly onRun: () => void;
}

function Option({ id, command, heading, active, onPoint, onRun }: OptionProps) {
  return (
    <>
      {heading && (
        <div className="palette-group" role="presentation">
          {command.group}
        </div>
      )}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the focus stays in the text field, which handles the keys */}
      <div
        id={id}
        className="palette-option"
        role="option"
        aria-selected={active}
        tabIndex={-1}
        onPointerMove={onPoint}
        onClick={onRun}
      >
        <span>{command.title}</span>
        <span className="palette-hint">{command.hint}</span>
        {command.key !== undefined && <kbd>{command.key}</kbd>}
      </div>
    </>
  );
}
