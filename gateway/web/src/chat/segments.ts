// How a turn reads from top to bottom: the text of each round with its citations, then the tools of that round.
import type { Citation } from './events';
import { answerOf, type ToolRow, type Turn } from './turn';

/** A citation by its place in the text of one segment, in UTF-16 units. */
export interface Cited {
  readonly from: number;
  readonly to: number;
  readonly callId: string | undefined;
}

export interface Segment {
  readonly key: string;
  readonly text: string;
  readonly cited: readonly Cited[];
  readonly tools: readonly ToolRow[];
}

const SEPARATOR = '\n\n';
const encoder = new TextEncoder();

/** Places of bytes of the UTF-8 form, as places in the text; undefined in the middle of a character. */
export function placesOf(text: string, bytes: readonly number[]): (number | undefined)[] {
  const wanted = new Map<number, number | undefined>(bytes.map((byte) => [byte, undefined]));
  let byte = 0;
  let place = 0;
  for (const character of text) {
    if (wanted.has(byte)) wanted.set(byte, place);
    const code = character.codePointAt(0) ?? 0;
    byte += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    place += character.length;
  }
  return bytes.map((at) => wanted.get(at));
}

/** The citations that fit to the text: a place where another text stands is not believed. */
export function citedIn(text: string, citations: readonly Citation[]): Cited[] {
  const places = placesOf(
    text,
    citations.map(({ at }) => at),
  );
  return citations.flatMap(({ number, callId }, index) => {
    const from = places[index];
    if (from === undefined || number === '' || !text.startsWith(number, from)) return [];
    return [{ from, to: from + number.length, callId }];
  });
}

/** Citations of the whole answer, moved into the segment that begins at `start` and is `length` long. */
const within = (cited: readonly Cited[], start: number, length: number): Cited[] =>
  cited
    .filter(({ from, to }) => from >= start && to <= start + length)
    .map(({ from, to, callId }) => ({ from: from - start, to: to - start, callId }));

export function segmentsOf(turn: Turn): Segment[] {
  const whole = answerOf(turn);
  const joined = turn.rounds.filter((text) => text !== '').join(SEPARATOR);
  const cited = turn.end === undefined ? [] : citedIn(whole, turn.end.citations);
  const rounds = Math.max(turn.rounds.length, ...turn.tools.map(({ round }) => round + 1), 0);
  const segments: Segment[] = [];
  let start = 0;
  for (let round = 0; round < rounds; round += 1) {
    const text = whole === joined ? (turn.rounds[round] ?? '') : '';
    const tools = turn.tools.filter((tool) => tool.round === round);
    if (text === '' && tools.length === 0) continue;
    segments.push({ key: `r${round}`, text, cited: within(cited, start, text.length), tools });
    if (text !== '') start += text.length + SEPARATOR.length;
  }
  // The gateway's whole text wins over what was streamed.
  if (whole !== joined && whole !== '') segments.push({ key: 'end', text: whole, cited, tools: [] });
  return segments;
}

/** Length in bytes of the UTF-8 form, which is what the gateway limits. */
export const byteLength = (text: string): number => encoder.encode(text).length;
