// Light colours for code: comments, texts, numbers and the words of Python, JSON and shells. Everything else stays plain.

export type TokenKind = 'plain' | 'comment' | 'text' | 'number' | 'word' | 'name';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

/** Longer code is shown without colours. */
const MAX_LENGTH = 60_000;

const PYTHON =
  'and as assert async await break class continue def del elif else except False finally for from global if import in is lambda None nonlocal not or pass raise return self True try while with yield';
const OTHERS =
  'const else export false fn for function if import let null pub return struct true type use var while';
const WORDS: ReadonlySet<string> = new Set(`${PYTHON} ${OTHERS}`.split(' '));

const RULES = [
  ['comment', /(?:#|\/\/)[^\n]*/y],
  [
    'text',
    /[rbfRBF]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)/y,
  ],
  ['number', /\b\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?\b/y],
  ['name', /[A-Za-z_]\w*(?=\s*\()/y],
  ['word', /[A-Za-z_]\w*/y],
  ['plain', /[^\w#/"'\s]+|\s+|[\s\S]/y],
] as const;

export function highlight(code: string): Token[] {
  if (code.length > MAX_LENGTH) return [{ kind: 'plain', text: code }];
  const tokens: Token[] = [];
  let at = 0;
  const push = (kind: TokenKind, text: string) => {
    const last = tokens.at(-1);
    if (last?.kind === kind) tokens[tokens.length - 1] = { kind, text: last.text + text };
    else tokens.push({ kind, text });
  };
  while (at < code.length) {
    for (const [kind, rule] of RULES) {
      rule.lastIndex = at;
      const text = rule.exec(code)?.[0];
      if (text === undefined || text === '') continue;
      const isWord = kind === 'word' || kind === 'name';
      push(isWord ? (WORDS.has(text) ? 'word' : kind === 'name' ? 'name' : 'plain') : kind, text);
      at += text.length;
      break;
    }
  }
  return tokens;
}
