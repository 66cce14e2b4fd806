// The symbol search of the rail: a combobox with venue filter. Enter opens, Shift+Enter adds to the watch list.
import { useEffect, useId, useRef, useState } from 'react';
import { usePlatform } from '../app/platform-context';
import type { Instrument } from '../market/instrument';
import { useStore } from '../state/store';
import { SearchIcon } from '../ui/icons';
import { useListNavigation } from '../ui/use-list-navigation';
import { SearchResults } from './SearchResults';
import { SearchSession } from './search-session';
import { VenueFilter } from './VenueFilter';
import './search.css';

export function SymbolSearch() {
  const { fetchInstruments, instruments, view, watchList, session: user } = usePlatform();
  const signedIn = useStore(user.state).status === 'signed-in';
  const [session] = useState(() => new SearchSession(fetchInstruments, instruments.learn));
  const state = useStore(session.state);
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const listId = useId();

  const close = () => {
    setOpen(false);
    session.clear();
    input.current?.blur();
  };
  const choose = (instrument: Instrument | undefined, add: boolean) => {
    if (instrument === undefined) return;
    if (add) {
      watchList.add(instrument.id);
      return;
    }
    view.open(instrument.id);
    close();
  };
  const navigation = useListNavigation(
    listId,
    state.results.length,
    `${state.text}|${state.venue}|${state.phase}`,
    (index, event) => choose(state.results[index], event.shiftKey),
  );

  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: PointerEvent) => {
      if (!(event.target instanceof Node) || !root.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);

  const openList = () => {
    setOpen(true);
    if (!open) session.refresh();
  };

  return (
    <search className="search" ref={root}>
      <SearchIcon />
      <input
        ref={input}
        id="symbol-search"
        data-testid="symbol-search"
        type="text"
        role="combobox"
        autoComplete="off"
        spellCheck={false}
        placeholder="Find a symbol"
        aria-label="Find a symbol"
        aria-expanded={open}
        aria-controls={listId}
        aria-activedescendant={
          open && state.results.length > 0 ? navigation.optionId(navigation.active) : undefined
        }
        value={state.text}
        onFocus={openList}
        onClick={openList}
        onChange={(event) => {
          setOpen(true);
          session.setText(event.target.value);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Escape') close();
          else navigation.onKey(event);
        }}
      />
      <kbd>{signedIn ? 'S' : '/'}</kbd>
      {open && (
        <div className="search-panel">
          <VenueFilter chosen={state.venue} onChoose={session.setVenue} />
          <SearchResults
            id={listId}
            state={state}
            navigation={navigation}
            onChoose={choose}
            onRetry={session.refresh}
          />
          <p className="search-hint">
            <span>
              <kbd>↑</kbd> <kbd>↓</kbd> move
            </span>
            <span>
              <kbd>Enter</kbd> open
            </span>
            <span>
              <kbd>Shift</kbd> <kbd>Enter</kbd> watch
            </span>
          </p>
        </div>
      )}
    </search>
  );
}
