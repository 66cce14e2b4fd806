// What the assistant does to the chart (docs/protocol/12-chat.md §4): checked, and what is not understood is left out.
import {
  asDecimal,
  asList,
  asOneOf,
  asRecord,
  asString,
  asTime,
  DecodeError,
  type Json,
} from '../api/decode';
import { type InstrumentId, instrumentId, isInstrumentId } from '../market/instrument';
import { type Interval, parseInterval } from '../market/interval';

const TONES = ['up', 'down', 'neutral'] as const;
export type Tone = (typeof TONES)[number];

export interface ChartMarker {
  /** Whole seconds since the epoch. */
  readonly time: number;
  readonly place: 'above' | 'below';
  readonly text: string;
  readonly tone: Tone;
}

export interface ChartLevel {
  readonly price: number;
  readonly text: string;
  readonly tone: Tone;
}

export type ChartAction =
  | { readonly action: 'show'; readonly symbol: InstrumentId; readonly interval: Interval }
  | { readonly action: 'add_indicator'; readonly name: string; readonly params: unknown }
  | { readonly action: 'remove_indicator'; readonly name: string | undefined }
  | { readonly action: 'markers'; readonly group: string; readonly markers: readonly ChartMarker[] }
  | { readonly action: 'levels'; readonly group: string; readonly levels: readonly ChartLevel[] }
  | { readonly action: 'clear' };

export const MAX_MARKERS = 500;
export const MAX_LEVELS = 50;
const MAX_ACTIONS = 64;
const MAX_LABEL = 40;

const label = (value: unknown, path: string): string => asString(value, path).slice(0, MAX_LABEL);

export function decodeMarker(value: unknown, path: string): ChartMarker {
  const json = asRecord(value, path);
  return {
    time: Math.floor(asTime(json.time, `${path}.time`) / 1000),
    place: asOneOf(json.place, ['above', 'below'], `${path}.place`),
    text: label(json.text, `${path}.text`),
    tone: asOneOf(json.tone, TONES, `${path}.tone`),
  };
}

export function decodeLevel(value: unknown, path: string): ChartLevel {
  const json = asRecord(value, path);
  return {
    price: asDecimal(json.price, `${path}.price`),
    text: label(json.text, `${path}.text`),
    tone: asOneOf(json.tone, TONES, `${path}.tone`),
  };
}

function decodeShow(json: Json): ChartAction {
  const symbol = instrumentId(asString(json.venue, 'venue'), asString(json.symbol, 'symbol'));
  const interval = parseInterval(asString(json.interval, 'interval'));
  if (!isInstrumentId(symbol)) throw new DecodeError('symbol', 'an instrument');
  if (interval === undefined) throw new DecodeError('interval', 'one of the seven');
  return { action: 'show', symbol, interval };
}

function decodeAction(value: unknown): ChartAction {
  const json = asRecord(value);
  switch (json.action) {
    case 'show':
      return decodeShow(json);
    case 'add_indicator':
      return { action: 'add_indicator', name: asString(json.name, 'name'), params: json.params };
    case 'remove_indicator':
      return { action: 'remove_indicator', name: typeof json.name === 'string' ? json.name : undefined };
    case 'markers':
      return {
        action: 'markers',
        group: label(json.group, 'group'),
        markers: asList(json.markers, decodeMarker, 'markers').slice(0, MAX_MARKERS),
      };
    case 'levels':
      return {
        action: 'levels',
        group: label(json.group, 'group'),
        levels: asList(json.levels, decodeLevel, 'levels').slice(0, MAX_LEVELS),
      };
    case 'clear':
      return { action: 'clear' };
    default:
      throw new DecodeError('action', 'an action of the chart');
  }
}

export function decodeChartActions(value: unknown): ChartAction[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_ACTIONS).flatMap((action) => {
    try {
      return [decodeAction(action)];
    } catch (error) {
      console.warn('an action of the chart was left out:', error);
      return [];
    }
  });
}
