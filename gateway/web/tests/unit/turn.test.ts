// A turn is the sum of its events: in order, each once, whatever the network makes of them.
import { describe, expect, test, vi } from 'vitest';
import {
  addOutgoing,
  changeOutgoing,
  emptyConversation,
  MAX_TURNS,
  runningTurn,
  saidBefore,
  takeEvents,
} from '../../src/chat/conversation';
import { decodeNumbered, type Numbered } from '../../src/chat/events';
import { segmentsOf } from '../../src/chat/segments';
import { answerOf, applyEvent, hasGap, newTurn, type Turn } from '../../src/chat/turn';
import { ended, event, script, started } from './chat-builders';

const play = (events: readonly Numbered[], turn: Turn = newTurn('01A')): Turn =>
  events.reduce(applyEvent, turn);

const STORY = script([
  started('Show BTC'),
  { type: 'model_chosen', model: 'offline', reason: 'no model is configured' },
  { type: 'text_delta', round: 0, text: 'Let me ' },
  { type: 'text_delta', round: 0, text: 'look.' },
  { type: 'tool_started', call_id: 'c1', round: 0, tool: 'show_chart', title: 'Chart', arguments: { a: 1 } },
  { type: 'tool_progress', call_id: 'c1', progress: 1, total: 2, message: 'half' },
  { type: 'tool_ended', call_id: 'c1', ok: true, duration_ms: 7, summary: 'shown', cards: [], chart: [] },
  { type: 'text_delta', round: 1, text: 'It stands at 61 837.63.' },
  ended('Let me look.\n\nIt stands at 61 837.63.'),
]);

describe('applying events', () => {
  test('in order gives question, model, text of rounds, tools and end', () => {
    const turn = play(STORY);
    expect(turn).toMatchObject({
      sequence: 9,
      question: 'Show BTC',
      messageId: 'm1',
      model: { name: 'offline', reason: 'no model is configured' },
      rounds: ['Let me look.', 'It stands at 61 837.63.'],
      end: { outcome: 'complete', costMicroUsd: 12 },
    });
    expect(turn.tools).toHaveLength(1);
    expect(turn.tools[0]).toMatchObject({ callId: 'c1', args: { a: 1 }, end: { ok: true, durationMs: 7 } });
    expect(turn.tools[0]?.progress).toEqual({ done: 1, total: 2, message: 'half' });
  });

  test('twice changes nothing the second time', () => {
    const once = play(STORY);
    expect(play(STORY, once)).toBe(once);
    expect(play(STORY.flatMap((item) => [item, item]))).toEqual(once);
  });

  test('backwards gives the same in the end', () => {
    const turn = play(STORY.toReversed());
    expect(hasGap(turn)).toBe(false);
    expect(turn).toEqual(play(STORY));
  });

  test.each([1, 2, 3, 5, 7, 11, 13])('in any order gives the same (seed %i)', (seed) => {
    let state = seed;
    const random = () => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    const shuffled = STORY.map((item) => ({ item, key: random() }))
      .sort((a, b) => a.key - b.key)
      .map(({ item }) => item);
    const doubled = [...shuffled, ...shuffled.slice(0, 4)];
    expect(play(doubled)).toEqual(play(STORY));
  });

  test('a missing event holds back those behind it and is known as a gap', () => {
    const turn = play(STORY.filter(({ sequence }) => sequence !== 4));
    expect(turn.sequence).toBe(3);
    expect(turn.rounds).toEqual(['Let me ']);
    expect(hasGap(turn)).toBe(true);
    const healed = applyEvent(turn, STORY[3] as Numbered);
    expect(healed).toEqual(play(STORY));
  });

  test('early events are bounded; what is forgotten is fetched again', () => {
    const many = Array.from({ length: 1000 }, (_, i) =>
      event(i + 3, { type: 'text_delta', round: 0, text: 'x' }),
    );
    const turn = play(many);
    expect(turn.early).toHaveLength(256);
    expect(turn.early[0]?.sequence).toBe(3);
  });

  test('an earlier state is never changed', () => {
    const before = play(STORY.slice(0, 6));
    const copy = structuredClone(before);
    play(STORY.slice(6), before);
    expect(before).toEqual(copy);
  });

  test('a reset empties its round only', () => {
    const turn = play(
      script([
        started('?'),
        { type: 'text_delta', round: 0, text: 'one' },
        { type: 'text_delta', round: 1, text: 'tw' },
        { type: 'text_reset', round: 1 },
        { type: 'text_delta', round: 1, text: 'two' },
      ]),
    );
    expect(turn.rounds).toEqual(['one', 'two']);
    expect(answerOf(turn)).toBe('one\n\ntwo');
  });

  test('a round that begins before the one before it leaves that one empty', () => {
    const turn = play(script([started('?'), { type: 'text_delta', round: 2, text: 'late' }]));
    expect(turn.rounds).toEqual(['', '', 'late']);
    expect(answerOf(turn)).toBe('late');
  });

  test('progress and end of an unknown or ended call change nothing', () => {
    const before = play(STORY.slice(0, 7));
    const after = play(
      [
        event(8, { type: 'tool_progress', call_id: 'c1', progress: 9, total: 9, message: 'late' }),
        event(9, {
          type: 'tool_ended',
          call_id: 'x',
          ok: false,
          duration_ms: 1,
          summary: '',
          cards: [],
          chart: [],
        }),
      ],
      before,
    );
    expect(after.tools).toEqual(before.tools);
  });

  test('a call that starts twice is one row', () => {
    const start = { type: 'tool_started', call_id: 'c1', round: 0, tool: 't', title: 'T', arguments: {} };
    expect(play(script([started('?'), start, start])).tools).toHaveLength(1);
  });

  test('nothing counts behind the end', () => {
    const turn = play([...STORY, event(10, { type: 'text_delta', round: 1, text: ' more' })]);
    expect(turn.sequence).toBe(10);
    expect(turn.rounds[1]).toBe('It stands at 61 837.63.');
  });

  test('a type of a later version counts and shows nothing', () => {
    const turn = play(
      script([started('?'), { type: 'hologram', depth: 3 }, { type: 'text_delta', round: 0, text: 'a' }]),
    );
    expect(turn.sequence).toBe(3);
    expect(turn.rounds).toEqual(['a']);
  });

  test.each(['stopped', 'limited', 'refused', 'failed'] as const)(
    'an outcome %s keeps its problem',
    (outcome) => {
      const problem = {
        code: 'MONEY',
        message: 'The limit is reached.',
        next: 'Wait for tomorrow.',
        retryable: false,
      };
      const turn = play(script([started('?'), { ...ended('part'), outcome, problem }]));
      expect(turn.end).toMatchObject({ outcome, problem, text: 'part' });
    },
  );
});

describe('an event', () => {
  test.each([
    [{ sequence: 0, at_ns: 1, type: 'text_delta', round: 0, text: '' }, 'sequence'],
    [{ sequence: 1.5, at_ns: 1, type: 'text_delta', round: 0, text: '' }, 'sequence'],
    [{ sequence: 1, at_ns: 'now', type: 'text_delta', round: 0, text: '' }, 'at_ns'],
    [{ sequence: 1, at_ns: 1, type: 'text_delta', round: -1, text: '' }, 'round'],
    [{ sequence: 1, at_ns: 1, type: 'text_delta', round: 1e9, text: '' }, 'round'],
    [{ sequence: 1, at_ns: 1, type: 'text_delta', round: 0 }, 'text'],
    [{ sequence: 1, at_ns: 1, type: 'turn_ended', outcome: 'splendid', text: '', citations: [] }, 'outcome'],
    [null, 'event'],
  ])('%j is refused with the name of its field', (json, field) => {
    expect(() => decodeNumbered(json)).toThrow(field);
  });

  test('members that are not known are left alone', () => {
    const { event: decoded } = decodeNumbered({
      sequence: 1,
      at_ns: 1,
      type: 'notice',
      code: 'X',
      text: 'y',
      more: 1,
    });
    expect(decoded).toEqual({ type: 'notice', code: 'X', text: 'y' });
  });

  test('cards and chart actions that are not understood are left out, the others stay', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const { event: decoded } = decodeNumbered({
      sequence: 1,
      at_ns: 1,
      type: 'tool_ended',
      call_id: 'c',
      ok: true,
      duration_ms: 1,
      summary: 's',
      cards: [{ kind: 'hologram' }, { kind: 'table', title: 'T', columns: ['a'], rows: [['1']] }],
      chart: [{ action: 'explode' }, { action: 'clear' }],
    });
    expect(decoded).toMatchObject({ cards: [{ kind: 'table' }], chart: [{ action: 'clear' }] });
    expect(warn).toHaveBeenCalledTimes(2);
    warn.mockRestore();
  });

  test('pictures are raster formats in Base64 only', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const cards = (media_type: string, data: string) => {
      const { event: decoded } = decodeNumbered({
        ...{ sequence: 1, at_ns: 1, type: 'tool_ended', call_id: 'c', ok: true, duration_ms: 1, summary: '' },
        cards: [{ kind: 'picture', media_type, data, alt: 'a' }],
      });
      return decoded.type === 'tool_ended' ? decoded.cards : [];
    };
    expect(cards('image/png', 'aGk=')).toEqual([
      { kind: 'picture', source: 'data:image/png;base64,aGk=', alt: 'a' },
    ]);
    expect(cards('image/svg+xml', 'aGk=')).toEqual([]);
    expect(cards('image/png', 'https://evil.example/x.png')).toEqual([]);
    warn.mockRestore();
  });
});

describe('segments', () => {
  test('stand as they happened: text of a round, then its tools', () => {
    const segments = segmentsOf(play(STORY));
    expect(segments.map(({ text, tools }) => [text, tools.length])).toEqual([
      ['Let me look.', 1],
      ['It stands at 61 837.63.', 0],
    ]);
  });

  test('hold the citations of their own text, by bytes of the whole', () => {
    const text = 'Größe: 5 €.\n\nPreis: 61 837.63, 5';
    const at = (part: string, from = 0) =>
      new TextEncoder().encode(text.slice(0, text.indexOf(part, from))).length;
    const turn = play(
      script([
        started('?'),
        { type: 'text_delta', round: 0, text: 'Größe: 5 €.' },
        { type: 'text_delta', round: 1, text: 'Preis: 61 837.63, 5' },
        {
          ...ended(text),
          citations: [
            { number: '5', at: at('5'), call_id: 'c1' },
            { number: '61 837.63', at: at('61'), call_id: null },
            { number: '5', at: at('5', 30), call_id: 'c2' },
          ],
        },
      ]),
    );
    const [first, second] = segmentsOf(turn);
    expect(first?.cited).toEqual([{ from: 7, to: 8, callId: 'c1' }]);
    expect(second?.cited).toEqual([
      { from: 7, to: 16, callId: undefined },
      { from: 18, to: 19, callId: 'c2' },
    ]);
  });

  test('leave out a citation whose place holds another text or half a character', () => {
    const turn = play(
      script([
        started('?'),
        { type: 'text_delta', round: 0, text: 'ä 7' },
        {
          ...ended('ä 7'),
          citations: [
            { number: '8', at: 3, call_id: 'c' },
            { number: '7', at: 1, call_id: 'c' },
            { number: '7', at: 99, call_id: 'c' },
            { number: '', at: 0, call_id: 'c' },
          ],
        },
      ]),
    );
    expect(segmentsOf(turn)[0]?.cited).toEqual([]);
  });

  test('show the whole text of the end where it is not what was streamed', () => {
    const turn = play(
      script([started('?'), { type: 'text_delta', round: 0, text: 'draft' }, ended('final')]),
    );
    expect(segmentsOf(turn).map(({ text }) => text)).toEqual(['final']);
  });
});

describe('a conversation', () => {
  test('keeps turns in the order of their ids, whatever order they come in', () => {
    let conversation = emptyConversation('main');
    for (const id of ['01C', '01A', '01B'])
      conversation = takeEvents(conversation, id, [STORY[0] as Numbered]);
    expect(conversation.turns.map(({ id }) => id)).toEqual(['01A', '01B', '01C']);
  });

  test('is bounded', () => {
    let conversation = emptyConversation('main');
    for (let i = 0; i < MAX_TURNS + 20; i += 1)
      conversation = takeEvents(conversation, `01${String(i).padStart(4, '0')}`, [STORY[0] as Numbered]);
    expect(conversation.turns).toHaveLength(MAX_TURNS);
    expect(conversation.turns[0]?.id).toBe('010020');
  });

  test('a message that has become a turn is no longer on its way, in either order', () => {
    const message = {
      messageId: 'm1',
      text: 'Show BTC',
      turnId: undefined,
      state: 'sending',
      error: undefined,
    } as const;
    const sent = addOutgoing(emptyConversation('main'), message);
    expect(sent.outgoing).toHaveLength(1);
    expect(takeEvents(sent, '01A', [STORY[0] as Numbered]).outgoing).toEqual([]);
    const begun = takeEvents(emptyConversation('main'), '01A', [STORY[0] as Numbered]);
    expect(addOutgoing(begun, message).outgoing).toEqual([]);
  });

  test('a message sent again keeps its id and its place is one', () => {
    const message = {
      messageId: 'm9',
      text: 'x',
      turnId: undefined,
      state: 'failed',
      error: undefined,
    } as const;
    const twice = addOutgoing(addOutgoing(emptyConversation('main'), message), {
      ...message,
      state: 'sending',
    });
    expect(twice.outgoing.map(({ state }) => state)).toEqual(['sending']);
    expect(changeOutgoing(twice, 'm9', { state: 'queued' }).outgoing[0]?.state).toBe('queued');
  });

  test('the running turn is the oldest that has begun and not ended', () => {
    let conversation = takeEvents(emptyConversation('main'), '01A', STORY);
    expect(runningTurn(conversation)).toBeUndefined();
    conversation = takeEvents(conversation, '01C', STORY.slice(0, 2));
    conversation = takeEvents(conversation, '01B', STORY.slice(0, 2));
    expect(runningTurn(conversation)?.id).toBe('01B');
  });

  test('what was said before comes newest first and once', () => {
    let conversation = emptyConversation('main');
    for (const [id, text] of [
      ['01A', 'one'],
      ['01B', 'two'],
      ['01C', 'one'],
    ] as const)
      conversation = takeEvents(conversation, id, script([started(text)]));
    expect(saidBefore(conversation)).toEqual(['one', 'two']);
  });
});
