// A diff, line by line: what came and what went is told by a sign as well as by colour.
import type { DiffLine } from './diff';

const SIGNS = { added: '+', removed: '−', place: ' ', same: ' ' } as const;

export function DiffView({ lines }: { readonly lines: readonly DiffLine[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a long diff is scrolled by keyboard
    <pre className="diff" tabIndex={0}>
      {lines.map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a diff never changes
        <span key={index} className="diff-line" data-kind={line.kind}>
          <i>{SIGNS[line.kind]}</i>
          {line.text || ' '}
          {'\n'}
        </span>
      ))}
    </pre>
  );
}
