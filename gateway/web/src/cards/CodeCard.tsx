// A file that was written: its code or what changed in it, and the commit that holds it.
import { useMemo, useState } from 'react';
import { Coloured } from '../markdown/CodeBlock';
import { CopyButton } from '../ui/CopyButton';
import { FileIcon } from '../ui/icons';
import type { Card } from './card';
import { DiffView } from './DiffView';
import { parseDiff } from './diff';

const SHORT = 10;

export function CodeCard({ card }: { readonly card: Extract<Card, { kind: 'code' }> }) {
  const [view, setView] = useState<'code' | 'diff'>('code');
  const diff = useMemo(() => parseDiff(card.diff), [card.diff]);
  const changed = diff.some(({ kind }) => kind === 'removed');
  return (
    <figure className="card code-card" data-testid="card-code">
      <figcaption>
        <FileIcon />
        <strong title={card.path}>{card.path.split('/').at(-1)}</strong>
        {card.commit !== '' && (
          <code className="commit" title={`Saved as commit ${card.commit}`}>
            {card.commit.slice(0, SHORT)}
          </code>
        )}
        <span className="card-end">
          {diff.length > 0 && (
            <fieldset className="segmented" aria-label="What to show">
              <button type="button" aria-pressed={view === 'code'} onClick={() => setView('code')}>
                Code
              </button>
              <button type="button" aria-pressed={view === 'diff'} onClick={() => setView('diff')}>
                {changed ? 'Changes' : 'Diff'}
              </button>
            </fieldset>
          )}
          <CopyButton text={card.code} label="Copy the code" />
        </span>
      </figcaption>
      {view === 'code' ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: long code is scrolled by keyboard
        <pre className="card-code" tabIndex={0}>
          <code>
            <Coloured code={card.code} />
          </code>
        </pre>
      ) : (
        <DiffView lines={diff} />
      )}
    </figure>
  );
}
