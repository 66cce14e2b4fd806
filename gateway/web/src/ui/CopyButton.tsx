// Copies a text and says that it did.
import { useEffect, useState } from 'react';
import { CheckIcon, CopyIcon } from './icons';

const SHOWN_MS = 1600;

interface CopyButtonProps {
  readonly text: string;
  readonly label: string;
  /** With the label as a visible word beside the icon. */
  readonly worded?: string;
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure origin there is no clipboard; the user can still select the text.
    return false;
  }
}

export function CopyButton({ text, label, worded }: CopyButtonProps) {
  const [state, setState] = useState<'idle' | 'copied' | 'failed'>('idle');
  useEffect(() => {
    if (state === 'idle') return undefined;
    const timer = setTimeout(() => setState('idle'), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [state]);
  const says =
    state === 'copied' ? 'Copied' : state === 'failed' ? 'Select the text and press Ctrl+C' : label;
  return (
    <button
      type="button"
      className={worded === undefined ? 'icon-button small copy-button' : 'button small copy-button'}
      aria-label={says}
      title={says}
      onClick={() => void copy(text).then((done) => setState(done ? 'copied' : 'failed'))}
    >
      {state === 'copied' ? <CheckIcon /> : <CopyIcon />}
      {worded !== undefined && <span>{state === 'idle' ? worded : says}</span>}
    </button>
  );
}
