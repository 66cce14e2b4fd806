// The list below the search field, with its loading, empty and error states.
import { usePlatform } from '../app/platform-context';
import type { Instrument } from '../market/instrument';
import { useStore } from '../state/store';
import { StarIcon } from '../ui/icons';
import type { useListNavigation } from '../ui/use-list-navigation';
import type { SearchState } from './search-session';

interface SearchResultsProps {
  readonly id: string;
  readonly state: SearchState;
  readonly navigation: ReturnType<typeof useListNavigation>;
  readonly onChoose: (instrument: Instrument, add: boolean) => void;
  readonly onRetry: () => void;
}

const KINDS = { spot: 'Spot', perpetual: 'Perpetual', future: 'Future' };
const SKELETONS = ['a', 'b', 'c', 'd'];

export function SearchResults({ id, state, navigation, onChoose, onRetry }: SearchResultsProps) {
  const { watchList } = usePlatform();
  const watched = useStore(watchList.items);
  if (state.phase === 'failed') {
    return (
      <div className="search-message" role="alert">
        <strong>{state.error?.message}</strong>
        <span>{state.error?.advice}</span>
        <button type="button" className="button" onClick={onRetry}>
          Try again
        </button>
      </div>
    );
  }
  if (state.phase === 'loading' && state.results.length === 0) {
    return (
      <div className="search-skeletons" aria-busy="true">
        {SKELETONS.map((key) => (
          <span key={key} className="skeleton" />
        ))}
      </div>
    );
  }
  if (state.phase === 'ready' && state.results.length === 0) {
    return (
      <div className="search-message" role="status">
        <strong>No symbol found</strong>
        <span>Check the spelling, try a base such as BTC, or choose all venues.</span>
      </div>
    );
  }
  return (
    <div
      className="search-results"
      role="listbox"
      id={id}
      aria-label="Symbols"
      aria-busy={state.phase === 'loading'}
    >
      {state.results.map((instrument, index) => (
        <SearchOption
          key={instrument.id}
          optionId={navigation.optionId(index)}
          instrument={instrument}
          active={index === navigation.active}
          watched={watched?.includes(instrument.id) ?? false}
          onPoint={() => navigation.setActive(index)}
          onChoose={(add) => onChoose(instrument, add)}
        />
      ))}
    </div>
  );
}

interface SearchOptionProps {
  readonly optionId: string;
  readonly instrument: Instrument;
  readonly active: boolean;
  readonly watched: boolean;
  readonly onPoint: () => void;
  readonly onChoose: (add: boolean) => void;
}

function SearchOption({ optionId, instrument, active, watched, onPoint, onChoose }: SearchOptionProps) {
  const { watchList } = usePlatform();
  return (
    // The focus stays in the text field, which handles the keys of this list.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    <div
      id={optionId}
      className="search-option"
      data-testid="search-result"
      data-id={instrument.id}
      role="option"
      aria-selected={active}
      tabIndex={-1}
      onPointerMove={onPoint}
      onClick={() => onChoose(false)}
    >
      <span className="search-symbol">{instrument.symbol}</span>
      <span className="search-venue">{instrument.venue}</span>
      <span className="search-kind">
        {instrument.status === 'trading'
          ? KINDS[instrument.kind]
          : `${KINDS[instrument.kind]}, ${instrument.status}`}
      </span>
      <span className="search-live" data-live={instrument.live}>
        {instrument.live ? 'live' : 'no feed'}
      </span>
      <button
        type="button"
        className="star"
        tabIndex={-1}
        aria-pressed={watched}
        aria-label={watched ? `Stop watching ${instrument.symbol}` : `Watch ${instrument.symbol}`}
        onClick={(event) => {
          event.stopPropagation();
          if (watched) watchList.remove(instrument.id);
          else onChoose(true);
        }}
      >
        <StarIcon />
      </button>
    </div>
  );
}
