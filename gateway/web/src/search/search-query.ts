// What the user types into the search: `btc`, `btc/usdt`, or `sim:btc` to stay within one venue.

export interface SearchQuery {
  readonly venue: string | undefined;
  readonly text: string;
}

export function parseSearch(typed: string): SearchQuery {
  const text = typed.trim();
  const match = /^([a-z0-9_-]+):(.*)$/i.exec(text);
  if (!match) return { venue: undefined, text };
  return { venue: match[1]?.toUpperCase(), text: match[2]?.trim() ?? '' };
}
