// The messages of the gateway's WebSocket (docs/protocol/10-websocket.md), decoded and checked.

import { decodeCandle } from '../api/candles';
import { asDecimal, asList, asNumber, asOneOf, asRecord, asString, asTime, optional } from '../api/decode';
import { decodeHealth, type Health } from '../api/health';
import type { Candle } from '../market/candle';
import type { Quote, Trade } from '../market/trade';

/** A message that belongs to one topic. */
export type TopicMessage =
  | { readonly type: 'tick'; readonly topic: string; readonly trade: Trade }
  | { readonly type: 'quote'; readonly topic: string; readonly quote: Quote }
  | { readonly type: 'candle'; readonly topic: string; readonly candle: Candle }
  | { readonly type: 'lagged'; readonly topic: string; readonly dropped: number };

export type ServerMessage =
  | TopicMessage
  | { readonly type: 'health'; readonly health: Health }
  | { readonly type: 'subscribed'; readonly topics: readonly string[] }
  | {
      readonly type: 'refused';
      readonly id: number | undefined;
      readonly code: string;
      readonly message: string;
    }
  | { readonly type: 'other' };

const decodeTrade = (data: unknown): Trade => {
  const row = asRecord(data, 'data');
  return {
    tradeId: asString(row.trade_id, 'data.trade_id'),
    time: asTime(row.event_time, 'data.event_time'),
    price: asDecimal(row.price, 'data.price'),
    size: asDecimal(row.size, 'data.size'),
    side: asOneOf(row.side, ['buy', 'sell', 'unknown'], 'data.side'),
  };
};

const decodeQuote = (data: unknown): Quote => {
  const row = asRecord(data, 'data');
  return {
    time: asTime(row.event_time, 'data.event_time'),
    bidPrice: asDecimal(row.bid_price, 'data.bid_price'),
    bidSize: asDecimal(row.bid_size, 'data.bid_size'),
    askPrice: asDecimal(row.ask_price, 'data.ask_price'),
    askSize: asDecimal(row.ask_size, 'data.ask_size'),
  };
};

/**
 * Reads one text message. Types that this page does not know are `other`: the protocol may grow.
 *
 * Throws DecodeError or SyntaxError when the text is not what the protocol says.
 */
export function decodeServerMessage(text: string): ServerMessage {
  const message = asRecord(JSON.parse(text));
  const topic = () => asString(message.topic, 'topic');
  switch (message.type) {
    case 'tick':
      return { type: 'tick', topic: topic(), trade: decodeTrade(message.data) };
    case 'quote':
      return { type: 'quote', topic: topic(), quote: decodeQuote(message.data) };
    case 'candle':
      return { type: 'candle', topic: topic(), candle: decodeCandle(message.data, 'data') };
    case 'lagged':
      return { type: 'lagged', topic: topic(), dropped: asNumber(message.dropped, 'dropped') };
    case 'health':
      return { type: 'health', health: decodeHealth(message.data) };
    case 'subscribed':
      return { type: 'subscribed', topics: asList(message.topics, asString, 'topics') };
    case 'error': {
      const error = asRecord(message.error, 'error');
      return {
        type: 'refused',
        id: optional(message.id, asNumber, 'id'),
        code: asString(error.code, 'error.code'),
        message: asString(error.message, 'error.message'),
      };
    }
    default:
      return { type: 'other' };
  }
}
