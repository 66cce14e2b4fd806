// Chips that keep the search within one venue.
import { useEffect, useState } from 'react';
import { usePlatform } from '../app/platform-context';

interface VenueFilterProps {
  readonly chosen: string | undefined;
  readonly onChoose: (venue: string | undefined) => void;
}

export function VenueFilter({ chosen, onChoose }: VenueFilterProps) {
  const { fetchVenues } = usePlatform();
  const [venues, setVenues] = useState<readonly string[]>([]);

  useEffect(() => {
    const abort = new AbortController();
    fetchVenues(abort.signal)
      .then(setVenues)
      // Without venues there is no filter; the results below say what is wrong.
      .catch(() => undefined);
    return () => abort.abort();
  }, [fetchVenues]);

  if (venues.length < 2) return null;
  return (
    <fieldset className="venue-filter" aria-label="Venue">
      {[undefined, ...venues].map((venue) => (
        <button
          key={venue ?? 'all'}
          type="button"
          className="chip"
          aria-pressed={chosen === venue}
          onClick={() => onChoose(venue)}
        >
          {venue ?? 'All venues'}
        </button>
      ))}
    </fieldset>
  );
}
