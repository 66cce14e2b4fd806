// Draws the tree of an answer. React escapes every text; links open elsewhere and show their host.
import { memo, type ReactNode, useMemo } from 'react';
import { CodeBlock } from './CodeBlock';
import { type Block, type Inline, type Mark, parseMarkdown } from './parse';
import './markdown.css';

interface MarkdownProps {
  readonly text: string;
  readonly marks?: readonly Mark[];
  /** Draws a marked number; without it the number is plain text. */
  readonly cite?: (index: number, text: string) => ReactNode;
}

type Cite = MarkdownProps['cite'];

const NO_MARKS: readonly Mark[] = [];

export const Markdown = memo(function Markdown({ text, marks = NO_MARKS, cite }: MarkdownProps) {
  const blocks = useMemo(() => parseMarkdown(text, marks), [text, marks]);
  return <div className="markdown">{blocks.map((block, index) => drawBlock(block, index, cite))}</div>;
});

const drawBlocks = (blocks: readonly Block[], cite: Cite): ReactNode[] =>
  blocks.map((block, index) => drawBlock(block, index, cite));

const drawInlines = (inlines: readonly Inline[], cite: Cite): ReactNode[] =>
  inlines.map((inline, index) => drawInline(inline, index, cite));

function drawBlock(block: Block, key: number, cite: Cite): ReactNode {
  switch (block.type) {
    case 'paragraph':
      return <p key={key}>{drawInlines(block.children, cite)}</p>;
    case 'heading':
      // The page has its own headings: an answer's begin below them.
      return block.level <= 2 ? (
        <h3 key={key}>{drawInlines(block.children, cite)}</h3>
      ) : (
        <h4 key={key}>{drawInlines(block.children, cite)}</h4>
      );
    case 'code':
      return <CodeBlock key={key} code={block.text} language={block.language} />;
    case 'quote':
      return <blockquote key={key}>{drawBlocks(block.children, cite)}</blockquote>;
    case 'list':
      return drawList(block, key, cite);
    case 'table':
      return drawTable(block, key, cite);
    case 'rule':
      return <hr key={key} />;
  }
}

function drawList(list: Extract<Block, { type: 'list' }>, key: number, cite: Cite): ReactNode {
  const items = list.items.map((item, index) => {
    const [only] = item;
    const flat = item.length === 1 && only?.type === 'paragraph';
    // biome-ignore lint/suspicious/noArrayIndexKey: a text only grows at its end
    return <li key={index}>{flat ? drawInlines(only.children, cite) : drawBlocks(item, cite)}</li>;
  });
  return list.ordered ? (
    <ol key={key} start={list.start}>
      {items}
    </ol>
  ) : (
    <ul key={key}>{items}</ul>
  );
}

/* A text only grows at its end: places are good keys. */
/* biome-ignore-start lint/suspicious/noArrayIndexKey: see above */
function drawTable(table: Extract<Block, { type: 'table' }>, key: number, cite: Cite): ReactNode {
  return (
    <div key={key} className="table-scroll">
      <table>
        <thead>
          <tr>
            {table.head.map((cell, column) => (
              <th key={column} data-align={table.align[column]}>
                {drawInlines(cell, cite)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column} data-align={table.align[column]}>
                  {drawInlines(cell, cite)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
/* biome-ignore-end lint/suspicious/noArrayIndexKey: see above */

function drawInline(inline: Inline, key: number, cite: Cite): ReactNode {
  switch (inline.type) {
    case 'text':
      return inline.text;
    case 'break':
      return <br key={key} />;
    case 'code':
      return <code key={key}>{inline.text}</code>;
    case 'strong':
      return <strong key={key}>{drawInlines(inline.children, cite)}</strong>;
    case 'emphasis':
      return <em key={key}>{drawInlines(inline.children, cite)}</em>;
    case 'strike':
      return <s key={key}>{drawInlines(inline.children, cite)}</s>;
    case 'link':
      return (
        <a key={key} href={inline.url} target="_blank" rel="noopener noreferrer nofollow" title={inline.url}>
          {drawInlines(inline.children, undefined)}
          <span className="link-host"> ({inline.host})</span>
        </a>
      );
    case 'cite':
      return <span key={key}>{cite === undefined ? inline.text : cite(inline.index, inline.text)}</span>;
  }
}
