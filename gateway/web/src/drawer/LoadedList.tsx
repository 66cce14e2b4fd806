// The states of a list that is asked for: skeletons at first, a failure with its next step, an empty list that says why.
import type { ReactNode } from 'react';
import type { Loaded } from '../state/loadable';
import { Failure } from '../ui/Problem';

const SKELETONS = ['a', 'b', 'c'];

interface LoadedListProps<T> {
  readonly state: Loaded<readonly T[]>;
  readonly empty: string;
  readonly onRetry: () => void;
  readonly children: (items: readonly T[]) => ReactNode;
}

export function LoadedList<T>({ state, empty, onRetry, children }: LoadedListProps<T>) {
  const { value, error } = state;
  return (
    <>
      {error !== undefined && <Failure error={error} onRetry={onRetry} />}
      {value !== undefined && value.length > 0 && children(value)}
      {value?.length === 0 && error === undefined && <p className="empty">{empty}</p>}
      {value === undefined && error === undefined && (
        <div className="list-skeleton" role="status" aria-label="Loading">
          {SKELETONS.map((key) => (
            <span key={key} className="skeleton" />
          ))}
        </div>
      )}
    </>
  );
}
