// The kept report of a run: in a frame without any right, or saved as a file.
import { useEffect, useState } from 'react';
import { type ApiError, toApiError } from '../api/api-error';
import { usePlatform } from '../app/platform-context';
import { Dialog } from '../ui/Dialog';
import { CloseIcon } from '../ui/icons';
import { Failure } from '../ui/Problem';
import { saveFile } from '../ui/save-file';

interface ReportDialogProps {
  readonly id: string;
  readonly title: string;
  readonly onClose: () => void;
}

export function ReportDialog({ id, title, onClose }: ReportDialogProps) {
  const { panels } = usePlatform();
  const [page, setPage] = useState<string>();
  const [error, setError] = useState<ApiError>();
  const [round, setRound] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `round` asks again
  useEffect(() => {
    setError(undefined);
    panels.reportPage(id).then(setPage, (thrown: unknown) => setError(toApiError(thrown)));
  }, [panels, id, round]);

  return (
    <Dialog label={`Report of ${title}`} className="report-dialog" onClose={onClose}>
      <header className="dialog-head">
        <h2>{title}</h2>
        <button
          type="button"
          className="button small"
          disabled={page === undefined}
          onClick={() => page !== undefined && saveFile(`backtest-${id}.html`, 'text/html', page)}
        >
          Save as file
        </button>
        <button type="button" className="icon-button" aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </button>
      </header>
      {error !== undefined && <Failure error={error} onRetry={() => setRound(round + 1)} />}
      {page === undefined && error === undefined && <span className="skeleton report-skeleton" />}
      {page !== undefined && (
        // Strategies are named by users and models: no script, no form, no origin, no link out of the frame.
        <iframe
          className="report-frame"
          data-testid="report-frame"
          sandbox=""
          srcDoc={page}
          title={`Report of ${title}`}
        />
      )}
    </Dialog>
  );
}
