// The little Markdown of an answer, as a tree: no HTML, no pictures, and links to web pages only.
//
// Text of a model is never trusted: what is not one of these forms stays the text that it is. The tree is drawn by React,
// which escapes; nothing here ever becomes markup. Unfinished forms at the end, as they stream in, are text too.

/** A number of the answer with its place among the citations. */
export interface Mark {
  readonly from: number;
  readonly to: number;
}

export type Inline =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'code'; readonly text: string }
  | { readonly type: 'strong' | 'emphasis' | 'strike'; readonly children: readonly Inline[] }
  | {
      readonly type: 'link';
      readonly url: string;
      readonly host: string;
      readonly children: readonly Inline[];
    }
  | { readonly type: 'cite'; readonly index: number; readonly text: string }
  | { readonly type: 'break' };

export type Align = 'left' | 'center' | 'right';

export type Block =
  | { readonly type: 'paragraph'; readonly children: readonly Inline[] }
  | { readonly type: 'heading'; readonly level: number; readonly children: readonly Inline[] }
  | { readonly type: 'code'; readonly language: string; readonly text: string; readonly open: boolean }
  | { readonly type: 'quote'; readonly children: readonly Block[] }
  | {
      readonly type: 'list';
      readonly ordered: boolean;
      readonly start: number;
      readonly items: readonly (readonly Block[])[];
    }
  | {
      readonly type: 'table';
      readonly align: readonly Align[];
      readonly head: readonly (readonly Inline[])[];
      readonly rows: readonly (readonly (readonly Inline[])[])[];
    }
  | { readonly type: 'rule' };

/** Deeper nesting is text. */
const MAX_DEPTH = 6;
const OPEN = '\uE000';
const MIDDLE = '\uE001';
const CLOSE = '\uE002';
const MARKS = /[\uE000-\uE002]/g;
const MARKED = /\uE000(\d+)\uE001([^\uE002]*)\uE002/g;

/** `text` with its marks; they may not overlap, one that does is left out. */
export function parseMarkdown(text: string, marks: readonly Mark[] = []): Block[] {
  return blocksOf(withMarks(text, marks).split(/\r\n?|\n/), 0);
}

/** Puts each marked number between signs that no text can hold, so that they survive the way through the tree. */
function withMarks(text: string, marks: readonly Mark[]): string {
  // Same length in UTF-16, so places stay true.
  const clean = text.replace(MARKS, '\uFFFD');
  const sorted = marks.map((mark, index) => ({ ...mark, index })).sort((a, b) => a.from - b.from);
  let out = '';
  let end = 0;
  for (const { from, to, index } of sorted) {
    const begins = clean.lastIndexOf('\n', from - 1) + 1;
    // The number of a list's item is no number of the answer.
    const isItem = clean.slice(begins, from).trim() === '' && /^[.)]\s/.test(clean.slice(to));
    if (from < end || to > clean.length || clean.slice(from, to).includes('\n') || isItem) continue;
    out += `${clean.slice(end, from)}${OPEN}${index}${MIDDLE}${clean.slice(from, to)}${CLOSE}`;
    end = to;
  }
  return out + clean.slice(end);
}

const plain = (text: string): string => text.replace(MARKED, '$2');

// Blocks

// Each of these looks at a character a bounded number of times: no line takes long, whoever wrote it.
const FENCE = /^ {0,3}(`{3,}|~{3,})(.*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t](.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const RULE_CELL = /^:?-+:?$/;

type Taken = readonly [block: Block, next: number];

function blocksOf(lines: readonly string[], depth: number): Block[] {
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    if ((lines[at] ?? '').trim() === '') {
      at += 1;
      continue;
    }
    const [block, next] = blockAt(lines, at, depth);
    blocks.push(block);
    at = next;
  }
  return blocks;
}

function blockAt(lines: readonly string[], at: number, depth: number): Taken {
  const line = lines[at] ?? '';
  const heading = HEADING.exec(line);
  if (heading !== null)
    return [
      { type: 'heading', level: (heading[1] ?? '').length, children: inlinesOf(titleOf(heading[2] ?? '')) },
      at + 1,
    ];
  if (RULE.test(line)) return [{ type: 'rule' }, at + 1];
  return (
    fenceAt(lines, at) ??
    tableAt(lines, at) ??
    (depth < MAX_DEPTH ? (quoteAt(lines, at, depth) ?? listAt(lines, at, depth)) : undefined) ??
    paragraphAt(lines, at, depth)
  );
}

/** Without the signs that may close a heading. */
function titleOf(text: string): string {
  const trimmed = text.trim();
  let end = trimmed.length;
  while (end > 0 && trimmed.charAt(end - 1) === '#') end -= 1;
  return end === 0 || trimmed.charAt(end - 1) === ' ' ? trimmed.slice(0, end).trim() : trimmed;
}

const isFence = (line: string): boolean =>
  FENCE.test(line) && !line.trimStart().replace(/^`+/, '').includes('`');

function fenceAt(lines: readonly string[], at: number): Taken | undefined {
  const line = lines[at] ?? '';
  const open = FENCE.exec(line);
  const sign = open?.[1];
  if (open === null || sign === undefined || !isFence(line)) return undefined;
  const closing = new RegExp(`^ {0,3}${sign.charAt(0)}{${sign.length},}\\s*$`);
  const end = lines.findIndex((line, index) => index > at && closing.test(line));
  const body = lines.slice(at + 1, end === -1 ? lines.length : end);
  const text = plain(body.join('\n'));
  return [
    { type: 'code', language: languageOf(open[2] ?? ''), text, open: end === -1 },
    end === -1 ? lines.length : end + 1,
  ];
}

const languageOf = (info: string): string => /^[\w+#.-]{1,20}/.exec(info.trim())?.[0].toLowerCase() ?? '';

function quoteAt(lines: readonly string[], at: number, depth: number): Taken | undefined {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end] ?? '')) end += 1;
  if (end === at) return undefined;
  const inner = lines.slice(at, end).map((line) => QUOTE.exec(line)?.[1] ?? '');
  return [{ type: 'quote', children: blocksOf(inner, depth + 1) }, end];
}

const indentOf = (line: string): number => line.length - line.trimStart().length;

function listAt(lines: readonly string[], at: number, depth: number): Taken | undefined {
  const first = ITEM.exec(lines[at] ?? '');
  if (first === null) return undefined;
  const indent = (first[1] ?? '').length;
  const ordered = /\d/.test(first[2] ?? '');
  const items: string[][] = [];
  let end = at;
  for (; end < lines.length; end += 1) {
    const line = lines[end] ?? '';
    const item = ITEM.exec(line);
    if (item !== null && indentOf(line) <= indent + 1 && /\d/.test(item[2] ?? '') === ordered) {
      if (indentOf(line) < indent) break;
      items.push([item[3] ?? '']);
    } else if (line.trim() === '') {
      const next = lines[end + 1] ?? '';
      if (next.trim() === '' || (indentOf(next) <= indent && !ITEM.test(next))) break;
      items.at(-1)?.push('');
    } else if (indentOf(line) > indent) items.at(-1)?.push(line.slice(Math.min(indentOf(line), indent + 2)));
    else break;
  }
  const start = ordered ? Number.parseInt(first[2] ?? '1', 10) : 1;
  const list = {
    type: 'list',
    ordered,
    start,
    items: items.map((item) => blocksOf(item, depth + 1)),
  } as const;
  return [list, Math.max(end, at + 1)];
}

/** Cells between bars; a bar in code or behind a backslash is none. */
function cellsOf(line: string): string[] {
  const cells: string[] = [''];
  let code = false;
  const inner = line
    .trim()
    .replace(/^\|/, '')
    .replace(/(?<!\\)\|$/, '');
  for (let i = 0; i < inner.length; i += 1) {
    const sign = inner.charAt(i);
    if (sign === '`') code = !code;
    if (sign === '\\' && inner.charAt(i + 1) === '|') {
      cells.push(`${cells.pop() ?? ''}|`);
      i += 1;
    } else if (sign === '|' && !code) cells.push('');
    else cells.push((cells.pop() ?? '') + sign);
  }
  return cells.map((cell) => cell.trim());
}

function tableAt(lines: readonly string[], at: number): Taken | undefined {
  const head = lines[at] ?? '';
  const rule = lines[at + 1] ?? '';
  if (!head.includes('|') || !rule.includes('-')) return undefined;
  const rules = cellsOf(rule);
  if (!rules.every((cell) => RULE_CELL.test(cell))) return undefined;
  const titles = cellsOf(head);
  if (titles.length !== rules.length) return undefined;
  const align = rules.map(
    (cell): Align => (cell.endsWith(':') ? (cell.startsWith(':') ? 'center' : 'right') : 'left'),
  );
  let end = at + 2;
  while (end < lines.length && (lines[end] ?? '').includes('|')) end += 1;
  const rows = lines.slice(at + 2, end).map((line) => {
    const cells = cellsOf(line);
    return titles.map((_, column) => inlinesOf(cells[column] ?? ''));
  });
  return [{ type: 'table', align, head: titles.map((title) => inlinesOf(title)), rows }, end];
}

function paragraphAt(lines: readonly string[], at: number, depth: number): Taken {
  let end = at + 1;
  while (end < lines.length && !startsBlock(lines, end, depth)) end += 1;
  return [{ type: 'paragraph', children: inlinesOf(lines.slice(at, end).join('\n')) }, end];
}

function startsBlock(lines: readonly string[], at: number, depth: number): boolean {
  const line = lines[at] ?? '';
  if (line.trim() === '' || HEADING.test(line) || RULE.test(line) || isFence(line)) return true;
  if (depth < MAX_DEPTH && (QUOTE.test(line) || ITEM.test(line))) return true;
  return tableAt(lines, at) !== undefined;
}

// Inside a line

const ESCAPABLE = /[\\`*_{}[\]()#+\-.!|~<>]/;

/** An address that may become a link: http and https, with a host, without a name or password in it. */
export function safeUrl(text: string): URL | undefined {
  if (!/^https?:\/\//i.test(text) || text.length > 2000) return undefined;
  try {
    const url = new URL(text);
    return url.host !== '' && url.username === '' && url.password === '' ? url : undefined;
  } catch {
    return undefined;
  }
}

export function inlinesOf(source: string, depth = 0): Inline[] {
  const out: Inline[] = [];
  let text = '';
  /** Signs that are not closed in what follows: they are not looked for again. */
  const unclosed = new Set<string>();
  const flush = () => {
    if (text !== '') out.push({ type: 'text', text });
    text = '';
  };
  let at = 0;
  while (at < source.length) {
    const found = depth < MAX_DEPTH ? inlineAt(source, at, depth, unclosed) : undefined;
    if (found !== undefined) {
      flush();
      out.push(found[0]);
      at = found[1];
    } else if (source.charAt(at) === '\\' && ESCAPABLE.test(source.charAt(at + 1))) {
      text += source.charAt(at + 1);
      at += 2;
    } else {
      // A run of backticks that opens nothing is text as a whole.
      const plainText = source.charAt(at) === '`' ? ticksAt(source, at) : source.charAt(at);
      text += plainText;
      at += plainText.length;
    }
  }
  flush();
  return out;
}

type Found = readonly [inline: Inline, next: number];

function inlineAt(source: string, at: number, depth: number, unclosed: Set<string>): Found | undefined {
  switch (source.charAt(at)) {
    case '`':
      return codeAt(source, at, unclosed);
    case '*':
    case '_':
    case '~':
      return emphasisAt(source, at, depth, unclosed);
    case '!':
      // A picture from elsewhere would tell its server who reads what: it becomes a link.
      return source.charAt(at + 1) === '[' ? linkAt(source, at + 1, depth) : undefined;
    case '[':
      return linkAt(source, at, depth);
    case '<':
    case 'h':
    case 'H':
      return addressAt(source, at);
    case '\n':
      return [{ type: 'break' }, at + 1];
    case OPEN:
      return citeAt(source, at);
    default:
      return undefined;
  }
}

function ticksAt(source: string, at: number): string {
  let end = at;
  while (source.charAt(end) === '`') end += 1;
  return source.slice(at, end);
}

function codeAt(source: string, at: number, unclosed: Set<string>): Found | undefined {
  const ticks = ticksAt(source, at);
  const from = at + ticks.length;
  const end = unclosed.has(ticks) ? -1 : source.indexOf(ticks, from);
  if (end === -1) unclosed.add(ticks);
  if (end === -1 || source.charAt(end + ticks.length) === '`') return undefined;
  return [{ type: 'code', text: plain(source.slice(from, end)).trim() }, end + ticks.length];
}

const FORMS = [
  ['**', 'strong'],
  ['__', 'strong'],
  ['~~', 'strike'],
  ['*', 'emphasis'],
  ['_', 'emphasis'],
] as const;

const isWord = (sign: string): boolean => /[\p{L}\p{N}]/u.test(sign);

function emphasisAt(source: string, at: number, depth: number, unclosed: Set<string>): Found | undefined {
  for (const [sign, type] of FORMS) {
    if (unclosed.has(sign) || !source.startsWith(sign, at)) continue;
    const from = at + sign.length;
    if (/\s/.test(source.charAt(from)) || (sign.startsWith('_') && isWord(source.charAt(at - 1)))) continue;
    const end = closingOf(source, sign, from);
    if (end === -1) {
      unclosed.add(sign);
      continue;
    }
    return [{ type, children: inlinesOf(source.slice(from, end), depth + 1) }, end + sign.length];
  }
  return undefined;
}

function closingOf(source: string, sign: string, from: number): number {
  for (let end = source.indexOf(sign, from + 1); end !== -1; end = source.indexOf(sign, end + sign.length)) {
    const before = source.charAt(end - 1);
    const after = source.charAt(end + sign.length);
    if (/\s/.test(before) || before === '\\') continue;
    if (sign === '*' && (after === '*' || before === '*')) continue;
    if (sign.startsWith('_') && isWord(after)) continue;
    return end;
  }
  return -1;
}

function linkAt(source: string, at: number, depth: number): Found | undefined {
  const found = /^\[([^\]\n]{0,500})\]\(\s*<?([^\s)>]{1,2100})>?(?:\s+"[^"\n]*")?\s*\)/.exec(
    source.slice(at),
  );
  if (found === null) return undefined;
  const [whole, label = '', target = ''] = found;
  const url = safeUrl(plain(target));
  const children = inlinesOf(label === '' ? target : label, depth + 1);
  if (url === undefined) return [{ type: 'emphasis', children }, at + whole.length];
  return [{ type: 'link', url: url.href, host: url.host, children }, at + whole.length];
}

function addressAt(source: string, at: number): Found | undefined {
  if (isWord(source.charAt(at - 1))) return undefined;
  const found = /^<?(https?:\/\/[^\s<>"'`\uE000-\uE002]{1,2000})>?/i.exec(source.slice(at));
  const address = found?.[1]?.replace(/[.,;:!?)\]*_]+$/, '');
  const url = address === undefined ? undefined : safeUrl(address);
  if (found === null || address === undefined || url === undefined) return undefined;
  const angled = source.charAt(at) === '<' && found[0].endsWith('>');
  if (source.charAt(at) === '<' && !angled) return undefined;
  const children: Inline[] = [{ type: 'text', text: address }];
  const length = angled ? found[0].length : address.length;
  return [{ type: 'link', url: url.href, host: url.host, children }, at + length];
}

function citeAt(source: string, at: number): Found | undefined {
  const found = /^\uE000(\d+)\uE001([^\uE002]*)\uE002/.exec(source.slice(at));
  if (found === null) return undefined;
  const [whole, index = '0', text = ''] = found;
  return [{ type: 'cite', index: Number(index), text }, at + whole.length];
}
