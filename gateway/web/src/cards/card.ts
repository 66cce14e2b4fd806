// What a tool shows beside the text: backtests, code, pictures, tables. What is not understood is left out.
import { asList, asRecord, asString, DecodeError, type Json } from '../api/decode';

export type Card =
  | { readonly kind: 'backtest'; readonly id: string; readonly strategy: string; readonly summary: Json }
  | {
      readonly kind: 'code';
      readonly path: string;
      readonly code: string;
      readonly commit: string;
      readonly diff: string;
    }
  | { readonly kind: 'picture'; readonly source: string; readonly alt: string }
  | {
      readonly kind: 'table';
      readonly title: string;
      readonly columns: readonly string[];
      readonly rows: readonly (readonly string[])[];
    };

const MAX_CARDS = 12;
const MAX_ROWS = 500;
/** Raster formats only: no picture can hold a script or ask for anything. */
const MEDIA_TYPES: ReadonlySet<string> = new Set(['image/png', 'image/jpeg', 'image/webp']);
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

function decodePicture(json: Json): Card {
  const mediaType = asString(json.media_type, 'media_type');
  const data = asString(json.data, 'data');
  if (!MEDIA_TYPES.has(mediaType)) throw new DecodeError('media_type', 'a raster picture');
  if (!BASE64.test(data)) throw new DecodeError('data', 'Base64');
  return { kind: 'picture', source: `data:${mediaType};base64,${data}`, alt: asString(json.alt, 'alt') };
}

function decodeCard(value: unknown): Card {
  const json = asRecord(value);
  switch (json.kind) {
    case 'backtest':
      return {
        kind: 'backtest',
        id: asString(json.id, 'id'),
        strategy: asString(json.strategy, 'strategy'),
        summary: asRecord(json.summary ?? {}, 'summary'),
      };
    case 'code':
      return {
        kind: 'code',
        path: asString(json.path, 'path'),
        code: asString(json.code, 'code'),
        commit: asString(json.commit, 'commit'),
        diff: asString(json.diff, 'diff'),
      };
    case 'picture':
      return decodePicture(json);
    case 'table':
      return {
        kind: 'table',
        title: asString(json.title, 'title'),
        columns: asList(json.columns, asString, 'columns'),
        rows: asList(json.rows, (row, path) => asList(row, asString, path), 'rows').slice(0, MAX_ROWS),
      };
    default:
      throw new DecodeError('kind', 'a kind of card');
  }
}

export function decodeCards(value: unknown): Card[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_CARDS).flatMap((card) => {
    try {
      return [decodeCard(card)];
    } catch (error) {
      console.warn('a card was left out:', error);
      return [];
    }
  });
}
