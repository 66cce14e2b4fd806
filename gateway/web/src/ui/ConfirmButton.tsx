// A button for what cannot be undone: it asks in its own place before it does it.
import { useState } from 'react';
import { focusNow } from './focus-now';

interface ConfirmButtonProps {
  readonly label: string;
  readonly question: string;
  readonly confirm: string;
  readonly disabled?: boolean;
  readonly testId?: string;
  readonly onConfirm: () => void;
}

export function ConfirmButton({
  label,
  question,
  confirm,
  disabled = false,
  testId,
  onConfirm,
}: ConfirmButtonProps) {
  const [asking, setAsking] = useState(false);
  if (!asking)
    return (
      <button
        type="button"
        className="button danger"
        disabled={disabled}
        data-testid={testId}
        onClick={() => setAsking(true)}
      >
        {label}
      </button>
    );
  return (
    <span className="confirm" role="alertdialog" aria-label={question}>
      <span>{question}</span>
      <button
        type="button"
        className="button danger"
        ref={focusNow}
        onClick={() => {
          setAsking(false);
          onConfirm();
        }}
      >
        {confirm}
      </button>
      <button type="button" className="button" onClick={() => setAsking(false)}>
        Keep
      </button>
    </span>
  );
}
