// A labelled field of a form with a note below it.
import type { ReactNode } from 'react';
import './form.css';

interface FieldProps {
  readonly label: string;
  readonly note?: string;
  /** The one input, select or textarea. */
  readonly children: ReactNode;
}

export function Field({ label, note, children }: FieldProps) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is the child
    <label className="field">
      <span>{label}</span>
      {children}
      {note !== undefined && <small>{note}</small>}
    </label>
  );
}
