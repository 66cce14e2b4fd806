// Says what went wrong and what to do next, with a button where trying again may help.
import type { ReactNode } from 'react';
import type { ApiError } from '../api/api-error';
import { nextStep } from '../api/next-step';
import { WarningIcon } from './icons';
import './problem.css';

interface ProblemProps {
  readonly message: string;
  readonly next: string;
  readonly children?: ReactNode;
}

export function Problem({ message, next, children }: ProblemProps) {
  return (
    <div className="problem" role="alert">
      <WarningIcon />
      <div>
        <p>{message}</p>
        <p className="problem-next">{next}</p>
        {children !== undefined && <div className="problem-actions">{children}</div>}
      </div>
    </div>
  );
}

interface FailureProps {
  readonly error: ApiError;
  readonly onRetry?: (() => void) | undefined;
  readonly onDismiss?: (() => void) | undefined;
}

export function Failure({ error, onRetry, onDismiss }: FailureProps) {
  return (
    <Problem message={error.message} next={nextStep(error)}>
      {onRetry !== undefined && (
        <button type="button" className="button small" onClick={onRetry}>
          Try again
        </button>
      )}
      {onDismiss !== undefined && (
        <button type="button" className="button small" onClick={onDismiss}>
          Dismiss
        </button>
      )}
    </Problem>
  );
}
