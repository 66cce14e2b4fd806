// The Markdown of answers: its few forms, and that nothing else ever becomes more than text.
import { describe, expect, test } from 'vitest';
import { highlight } from '../../src/markdown/highlight';
import { type Block, type Inline, inlinesOf, parseMarkdown, safeUrl } from '../../src/markdown/parse';

const text = (value: string) => ({ type: 'text', text: value });
const flat = (inlines: readonly Inline[]): string =>
  inlines
    .map((inline) =>
      'children' in inline ? flat(inline.children) : inline.type === 'break' ? '\n' : inline.text,
    )
    .join('');

describe('blocks', () => {
  test('paragraphs are divided by blank lines and keep their line breaks', () => {
    expect(parseMarkdown('one\ntwo\n\nthree')).toEqual([
      { type: 'paragraph', children: [text('one'), { type: 'break' }, text('two')] },
      { type: 'paragraph', children: [text('three')] },
    ]);
  });

  test('headings, rules and quotes', () => {
    const blocks = parseMarkdown('# Title\n---\n> said\n> more\n\nend');
    expect(blocks.map(({ type }) => type)).toEqual(['heading', 'rule', 'quote', 'paragraph']);
  });

  test('lists may be nested and may hold more than one paragraph', () => {
    const [list] = parseMarkdown('- one\n  - inner\n- two\n\n  more of two\n\nend');
    expect(list).toMatchObject({ type: 'list', ordered: false });
    const { items } = list as Extract<Block, { type: 'list' }>;
    expect(items).toHaveLength(2);
    expect(items[0]?.map(({ type }) => type)).toEqual(['paragraph', 'list']);
    expect(items[1]?.map(({ type }) => type)).toEqual(['paragraph', 'paragraph']);
  });

  test('an ordered list begins where it says', () => {
    expect(parseMarkdown('3. c\n4. d')[0]).toMatchObject({ type: 'list', ordered: true, start: 3 });
  });

  test('a table has its columns aligned, and short rows are filled', () => {
    const [table] = parseMarkdown('| a | b |\n|---|---:|\n| 1 | `x|y` |\n| 2 |');
    const found = table as Extract<Block, { type: 'table' }>;
    expect(found.align).toEqual(['left', 'right']);
    expect(found.rows.map((row) => row.map(flat))).toEqual([
      ['1', 'x|y'],
      ['2', ''],
    ]);
  });

  test('code keeps what it holds, closed or still streaming', () => {
    expect(parseMarkdown('```python\nx = "<b>*a*</b>"\n```\nend')[0]).toEqual({
      type: 'code',
      language: 'python',
      text: 'x = "<b>*a*</b>"',
      open: false,
    });
    expect(parseMarkdown('```\nhalf')[0]).toMatchObject({ type: 'code', text: 'half', open: true });
  });
});

describe('inside a line', () => {
  test('strong, emphasis, strike and code', () => {
    expect(inlinesOf('**a** *b* ~~c~~ `d*e`')).toEqual([
      { type: 'strong', children: [text('a')] },
      text(' '),
      { type: 'emphasis', children: [text('b')] },
      text(' '),
      { type: 'strike', children: [text('c')] },
      text(' '),
      { type: 'code', text: 'd*e' },
    ]);
  });

  test('names with underscores, prices with stars and unfinished forms stay text', () => {
    for (const plain of ['max_drawdown_ns', '2 * 3 * 4', '**half', 'a `tick', '[link](', 'snake_case_name'])
      expect(inlinesOf(plain)).toEqual([text(plain)]);
  });

  test('a backslash takes a sign its meaning', () => {
    expect(inlinesOf('\\*a\\*')).toEqual([text('*a*')]);
  });

  test('links show where they go', () => {
    expect(inlinesOf('[docs](https://example.com/a)')).toEqual([
      { type: 'link', url: 'https://example.com/a', host: 'example.com', children: [text('docs')] },
    ]);
    expect(inlinesOf('see https://example.com/a.')).toMatchObject([
      text('see '),
      { type: 'link', url: 'https://example.com/a' },
      text('.'),
    ]);
  });
});

const HOSTILE = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<iframe src="https://evil.example"></iframe>',
  '[a](javascript:alert(1))',
  '[a](JaVaScRiPt:alert(1))',
  '[a](data:text/html;base64,PHNjcmlwdD4=)',
  '[a](vbscript:x)',
  '[a](//evil.example/x)',
  '[a](/api/v1/auth/logout)',
  '[a](file:///etc/passwd)',
  '[a](https://user:password@evil.example/)',
  '[a](\u0000javascript:alert(1))',
  '<javascript:alert(1)>',
  '<https://evil.example',
  '[![x](https://evil.example/b.png)](javascript:alert(1))',
];

const urlsOf = (inlines: readonly Inline[]): string[] =>
  inlines.flatMap((inline) => [
    ...(inline.type === 'link' ? [inline.url] : []),
    ...('children' in inline ? urlsOf(inline.children) : []),
  ]);

describe('hostile text', () => {
  test.each(HOSTILE)('%s has no link but to web pages, and no other form at all', (source) => {
    for (const block of parseMarkdown(source)) {
      expect(['paragraph', 'heading', 'quote', 'list', 'code', 'table', 'rule']).toContain(block.type);
      if (block.type !== 'paragraph') continue;
      for (const url of urlsOf(block.children)) expect(url).toMatch(/^https:\/\/evil\.example\/(b\.png)?$/);
    }
  });

  test('a picture from elsewhere is only a link: nothing is fetched', () => {
    expect(inlinesOf('![chart](https://evil.example/b.png?secret=1)')).toMatchObject([
      { type: 'link', host: 'evil.example' },
    ]);
  });

  test('tags are text', () => {
    expect(inlinesOf('<b>x</b>')).toEqual([text('<b>x</b>')]);
  });

  test.each([
    'http://',
    'https://',
    'ftp://a',
    'https://a@b.c',
    `https://a.b/${'x'.repeat(3000)}`,
    'https://[',
    '',
  ])('%s is no address', (address) => {
    expect(safeUrl(address)).toBeUndefined();
  });

  test('long and deep nonsense ends soon', () => {
    const start = performance.now();
    for (const source of [
      '*'.repeat(20_000),
      '['.repeat(20_000),
      '> '.repeat(4000),
      '- '.repeat(4000),
      '`'.repeat(20_001),
    ])
      parseMarkdown(source);
    expect(performance.now() - start).toBeLessThan(3000);
  });

  test('every prefix of an answer can be drawn while it streams', () => {
    const answer =
      '# T\n\n- a **b** `c`\n\n| a | b |\n|---|---|\n| [l](https://x.y) | 2 |\n\n```py\nx=1\n```\n> q';
    for (let end = 0; end <= answer.length; end += 1)
      expect(() => parseMarkdown(answer.slice(0, end))).not.toThrow();
  });
});

describe('marked numbers', () => {
  const cites = (source: string, ...numbers: string[]) => {
    let from = 0;
    const marks = numbers.map((number) => {
      const at = source.indexOf(number, from);
      from = at + number.length;
      return { from: at, to: at + number.length };
    });
    return parseMarkdown(source, marks);
  };

  test('stand in the text, also inside other forms', () => {
    expect(cites('Price **61 837.63**, RSI 56', '61 837.63', '56')).toEqual([
      {
        type: 'paragraph',
        children: [
          text('Price '),
          { type: 'strong', children: [{ type: 'cite', index: 0, text: '61 837.63' }] },
          text(', RSI '),
          { type: 'cite', index: 1, text: '56' },
        ],
      },
    ]);
  });

  test('stand in tables', () => {
    const [table] = cites('| a |\n|---|\n| 42 |', '42');
    expect((table as Extract<Block, { type: 'table' }>).rows[0]?.[0]).toEqual([
      { type: 'cite', index: 0, text: '42' },
    ]);
  });

  test('in code and in addresses leave them as they are', () => {
    expect(cites('`x = 7` and ```', '7')[0]).toMatchObject({
      children: [{ type: 'code', text: 'x = 7' }, {}],
    });
    expect(cites('[a](https://x.y/7)', '7')[0]).toMatchObject({ children: [{ url: 'https://x.y/7' }] });
  });

  test('do not break a list whose number they are', () => {
    expect(cites('1. one', '1')[0]).toMatchObject({ type: 'list' });
  });

  test('cannot be made up by the text itself', () => {
    const source = '\uE0000\uE001fake\uE002 7';
    const blocks = parseMarkdown(source, [{ from: source.length - 1, to: source.length }]);
    const children = (blocks[0] as Extract<Block, { type: 'paragraph' }>).children;
    expect(children.filter(({ type }) => type === 'cite')).toEqual([{ type: 'cite', index: 0, text: '7' }]);
  });
});

test('highlighting loses no character', () => {
  const code = `"""Doc"""\ndef f(x):  # why\n    return 'a' + f"{x}" * 1_000.5e3 @ y\n`;
  const tokens = highlight(code);
  expect(tokens.map((token) => token.text).join('')).toBe(code);
  expect(tokens.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['text', 'word', 'name', 'comment', 'number']),
  );
});
