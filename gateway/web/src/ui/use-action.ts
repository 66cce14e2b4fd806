// Runs one thing that a button does: busy while it runs, its failure kept for showing.
import { useCallback, useEffect, useRef, useState } from 'react';
import { type ApiError, isAbort, toApiError } from '../api/api-error';

interface Action {
  readonly busy: boolean;
  readonly error: ApiError | undefined;
  /** Runs it unless it runs already; true when it succeeded. */
  readonly run: (body: () => Promise<unknown>) => Promise<boolean>;
  readonly forget: () => void;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const running = useRef(false);
  const mounted = useRef(true);

  useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);

  const run = useCallback(async (body: () => Promise<unknown>): Promise<boolean> => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setError(undefined);
    try {
      await body();
      return true;
    } catch (thrown) {
      if (mounted.current && !isAbort(thrown)) setError(toApiError(thrown));
      return false;
    } finally {
      running.current = false;
      if (mounted.current) setBusy(false);
    }
  }, []);

  const forget = useCallback(() => setError(undefined), []);
  return { busy, error, run, forget };
}
