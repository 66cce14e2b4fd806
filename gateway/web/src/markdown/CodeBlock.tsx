// A block of code with light colours and a button that copies it.
import { memo, useMemo } from 'react';
import { CopyButton } from '../ui/CopyButton';
import { highlight } from './highlight';

const COLOURED: ReadonlySet<string> = new Set(['', 'python', 'py', 'json', 'js', 'ts', 'rust', 'sh', 'bash']);

interface CodeBlockProps {
  readonly code: string;
  readonly language: string;
}

export const CodeBlock = memo(function CodeBlock({ code, language }: CodeBlockProps) {
  return (
    <figure className="code-block">
      <figcaption>
        <span>{language || 'code'}</span>
        <CopyButton text={code} label="Copy the code" />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long block is scrolled by keyboard */}
      <pre tabIndex={0}>
        <code>{COLOURED.has(language) ? <Coloured code={code} /> : code}</code>
      </pre>
    </figure>
  );
});

export function Coloured({ code }: { readonly code: string }) {
  const tokens = useMemo(() => highlight(code), [code]);
  return tokens.map((token, index) =>
    token.kind === 'plain' ? (
      token.text
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: tokens have no other name
      <span key={index} className={`token-${token.kind}`}>
        {token.text}
      </span>
    ),
  );
}
