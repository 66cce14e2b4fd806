// The only place of the page that spells WebSocket topics.
import type { InstrumentId } from '../market/instrument';
import type { Interval } from '../market/interval';

export type Topic = `${InstrumentId}|${'tick' | 'quote' | `ohlc:${Interval}`}`;

export const tickTopic = (instrument: InstrumentId): Topic => `${instrument}|tick`;
export const quoteTopic = (instrument: InstrumentId): Topic => `${instrument}|quote`;
export const candleTopic = (instrument: InstrumentId, interval: Interval): Topic =>
  `${instrument}|ohlc:${interval}`;
