// The conversation on screen: resumed after a reload, healed after a loss, sent once, stopped, never mixed up.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError } from '../../src/api/api-error';
import { ChartMark } from '../../src/chat/chart-mark';
import { Chat } from '../../src/chat/chat';
import type { Numbered } from '../../src/chat/events';
import { Outbox } from '../../src/chat/outbox';
import { FakeSocket, MapStorage, settle } from './builders';
import { ended, event, fakeApi, script, started } from './chat-builders';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const SHOW = {
  type: 'tool_ended',
  ok: true,
  duration_ms: 1,
  summary: '',
  cards: [],
  chart: [{ action: 'show', venue: 'SIM', symbol: 'BTC/USDT', interval: '3600s' }],
};
const TOOL = { type: 'tool_started', round: 0, tool: 'show_chart', title: 'Chart', arguments: {} };

const FULL = script([
  started('Show BTC'),
  { ...TOOL, call_id: 'c1' },
  { ...SHOW, call_id: 'c1' },
  { type: 'text_delta', round: 0, text: 'Done.' },
  ended('Done.'),
]);

function chatWith({ tab = new MapStorage(), api = fakeApi() } = {}) {
  const sockets: FakeSocket[] = [];
  const applied = vi.fn();
  const userEvent = vi.fn();
  const sessionEnded = vi.fn();
  let ids = 0;
  const chat = new Chat({
    api,
    socket: {
      connect: () => {
        const socket = new FakeSocket();
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      now: () => Date.now(),
      random: () => 0.5,
    },
    frames: { add: (task) => task() },
    mark: new ChartMark(tab),
    outbox: new Outbox(tab),
    newId: () => {
      ids += 1;
      return `id-${ids}`;
    },
    applyToChart: applied,
    userEvent,
    sessionEnded,
  });
  return {
    chat,
    api,
    sockets,
    applied,
    userEvent,
    sessionEnded,
    tab,
    latest: () => sockets.at(-1) as FakeSocket,
  };
}

const live = (turnId: string, { sequence }: Numbered, json: object, conversation = 'main') => ({
  type: 'event',
  turn_id: turnId,
  conversation_id: conversation,
  event: { sequence, at_ns: 1, ...json },
});

async function begun(options: Parameters<typeof chatWith>[0] = {}) {
  const made = chatWith(options);
  made.chat.start();
  await settle();
  made.latest().open();
  await settle();
  return made;
}

/** History of one turn, of which `count` events are there. */
function withHistory(count: number, turnId = '01A') {
  const api = fakeApi();
  const known = FULL.slice(0, count);
  api.turns.mockResolvedValue({
    turns: [{ turnId, ended: count === FULL.length, lastSequence: count }],
    next: undefined,
  });
  api.events.mockImplementation(async (_, after) => ({
    events: known.filter(({ sequence }) => sequence > after),
    ended: count === FULL.length,
  }));
  return api;
}

const sent = (socket: FakeSocket) => socket.sent as unknown as Record<string, unknown>[];

describe('a start', () => {
  test('loads the newest turns and watches behind what it knows', async () => {
    const { chat, latest } = await begun({ api: withHistory(3) });
    expect(chat.phase.get().status).toBe('ready');
    expect(chat.conversation.get().turns[0]?.sequence).toBe(3);
    expect(sent(latest()).at(-1)).toEqual({ op: 'watch', conversation_id: 'main', turn_id: '01A', after: 3 });
  });

  test('says so when it fails, and can be tried again', async () => {
    const api = fakeApi();
    api.turns.mockRejectedValueOnce(new ApiError('unreachable', 'The gateway cannot be reached.'));
    const { chat } = await begun({ api });
    expect(chat.phase.get()).toMatchObject({ status: 'failed' });
    await chat.open('main');
    expect(chat.phase.get().status).toBe('ready');
  });

  test('does not repeat what the assistant did to the chart before', async () => {
    const { applied } = await begun({ api: withHistory(5) });
    expect(applied).not.toHaveBeenCalled();
  });

  test('of the same tab again carries out what came in between, once', async () => {
    const tab = new MapStorage();
    const first = await begun({ tab, api: withHistory(2) });
    first.chat.socket.stop();
    const again = await begun({ tab, api: withHistory(5) });
    expect(again.applied).toHaveBeenCalledTimes(1);
    const third = await begun({ tab, api: withHistory(5) });
    expect(third.applied).not.toHaveBeenCalled();
  });

  test('sends again, under the same id, what the gateway has not confirmed', async () => {
    const tab = new MapStorage();
    const api = fakeApi();
    api.send.mockRejectedValue(new ApiError('unreachable', 'no'));
    const first = await begun({ tab, api });
    first.chat.send('Hello');
    await settle();
    const after = fakeApi();
    await begun({ tab, api: after });
    expect(after.send).toHaveBeenCalledWith({ messageId: 'id-1', conversationId: 'main', text: 'Hello' });
    expect(new Outbox(tab).of('main')).toEqual([]);
  });
});

describe('live events', () => {
  test('are shown, and what they do to the chart is done once', async () => {
    const { chat, latest, applied } = await begun();
    for (const [index, json] of [
      started('Show BTC'),
      { ...TOOL, call_id: 'c1' },
      { ...SHOW, call_id: 'c1' },
    ].entries()) {
      const message = live('01A', event(index + 1, json), json);
      latest().says(message);
      latest().says(message);
    }
    expect(chat.conversation.get().turns[0]?.sequence).toBe(3);
    expect(applied).toHaveBeenCalledTimes(1);
  });

  test('of another conversation are left out', async () => {
    const { chat, latest } = await begun();
    latest().says(live('01A', event(1, started('x')), started('x'), 'other'));
    expect(chat.conversation.get().turns).toEqual([]);
  });

  test('with a gap make it ask for those between', async () => {
    const api = fakeApi();
    const { chat, latest } = await begun({ api });
    api.events.mockResolvedValue({ events: FULL.slice(0, 4), ended: false });
    latest().says(live('01A', event(5, ended('Done.')), ended('Done.')));
    await settle();
    expect(api.events).toHaveBeenCalledWith('01A', 0);
    expect(chat.conversation.get().turns[0]?.end?.outcome).toBe('complete');
  });

  test('that are broken are left out without ending the connection', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const { chat, latest } = await begun();
    latest().onmessage?.({ data: '{broken' });
    latest().says({ type: 'event', turn_id: '01A', conversation_id: 'main', event: { sequence: 'x' } });
    latest().says({ type: 'of the future' });
    expect(warn).toHaveBeenCalledTimes(2);
    expect(chat.socket.connection.get().status).toBe('open');
  });

  test('of the user go to the activity', async () => {
    const { latest, userEvent } = await begun();
    latest().says({ type: 'user_event', event: { kind: 'alert' } });
    expect(userEvent).toHaveBeenCalledWith({ kind: 'alert' });
  });
});

describe('a lost connection', () => {
  test('takes a new ticket, watches behind the last event and asks for turns in between', async () => {
    const api = withHistory(3);
    const { chat, sockets, latest } = await begun({ api });
    api.turns.mockResolvedValue({
      turns: [
        { turnId: '01B', ended: true, lastSequence: 5 },
        { turnId: '01A', ended: false, lastSequence: 3 },
      ],
      next: undefined,
    });
    api.events.mockImplementation(async (turnId) => ({ events: turnId === '01B' ? FULL : [], ended: true }));
    latest().breaks();
    await vi.advanceTimersByTimeAsync(1000);
    expect(sockets).toHaveLength(2);
    latest().open();
    await settle();
    expect(api.ticket).toHaveBeenCalledTimes(2);
    expect(sent(latest())[0]).toEqual({ op: 'watch', conversation_id: 'main', turn_id: '01A', after: 3 });
    expect(chat.conversation.get().turns.map(({ id, sequence }) => [id, sequence])).toEqual([
      ['01A', 3],
      ['01B', 5],
    ]);
  });

  test('that does not heal is no reason to wait: the answer comes over HTTP', async () => {
    const api = withHistory(2);
    const { chat, latest } = await begun({ api });
    api.ticket.mockRejectedValue(new ApiError('unreachable', 'no'));
    latest().breaks();
    api.events.mockResolvedValue({ events: FULL.slice(2), ended: true });
    await vi.advanceTimersByTimeAsync(2500);
    expect(chat.conversation.get().turns[0]?.end?.outcome).toBe('complete');
  });

  test('that is mute is noticed', async () => {
    const { chat, latest } = await begun();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(latest().closed || chat.socket.connection.get().status !== 'open').toBe(true);
  });

  test('because the session has ended is not tried again', async () => {
    const { chat, sockets, latest, sessionEnded } = await begun();
    latest().breaks(4401);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sessionEnded).toHaveBeenCalledTimes(1);
    expect(sockets).toHaveLength(1);
    expect(chat.socket.connection.get().status).toBe('closed');
  });
});

describe('a message', () => {
  test('is on its way, then taken, then a turn', async () => {
    const { chat, latest } = await begun();
    chat.send('Show BTC');
    expect(chat.conversation.get().outgoing[0]).toMatchObject({ state: 'sending', text: 'Show BTC' });
    await settle();
    expect(chat.conversation.get().outgoing[0]).toMatchObject({ state: 'taken', turnId: '01B' });
    const json = started('Show BTC', 'id-1');
    latest().says(live('01B', event(1, json), json));
    expect(chat.conversation.get().outgoing).toEqual([]);
    expect(chat.conversation.get().turns).toHaveLength(1);
  });

  test('waits behind a running one', async () => {
    const api = fakeApi();
    api.send.mockResolvedValue({ turnId: '01C', queued: true });
    const { chat } = await begun({ api });
    chat.send('Next');
    await settle();
    expect(chat.conversation.get().outgoing[0]?.state).toBe('queued');
  });

  test('that fails keeps its id for the next attempt', async () => {
    const api = fakeApi();
    api.send.mockRejectedValueOnce(new ApiError('refused', 'Too many', { status: 429 }));
    const { chat } = await begun({ api });
    chat.send('Once');
    await settle();
    const [failed] = chat.conversation.get().outgoing;
    expect(failed).toMatchObject({ state: 'failed', messageId: 'id-1' });
    if (failed !== undefined) chat.resend(failed);
    await settle();
    expect(api.send.mock.calls.map(([message]) => message.messageId)).toEqual(['id-1', 'id-1']);
    expect(chat.conversation.get().outgoing[0]?.state).toBe('taken');
  });

  test('can be given up', async () => {
    const api = fakeApi();
    api.send.mockRejectedValue(new ApiError('refused', 'no'));
    const { chat, tab } = await begun({ api });
    chat.send('Never mind');
    await settle();
    const [failed] = chat.conversation.get().outgoing;
    if (failed !== undefined) chat.discard(failed);
    expect(chat.conversation.get().outgoing).toEqual([]);
    expect(new Outbox(tab).of('main')).toEqual([]);
  });
});

describe('Stop', () => {
  test('asks once, says that it stops, and ends with the turn', async () => {
    const { chat, api, latest } = await begun({ api: withHistory(2) });
    void chat.stopTurn();
    void chat.stopTurn();
    await settle();
    expect(api.stop).toHaveBeenCalledTimes(1);
    expect(chat.stopping.get().has('01A')).toBe(true);
    for (const { sequence } of FULL.slice(2)) {
      const json = sequence === 5 ? { ...ended('Done.'), outcome: 'stopped' } : { type: 'of the future' };
      latest().says(live('01A', event(sequence, json), json));
    }
    expect(chat.stopping.get().size).toBe(0);
  });

  test('that is refused says why and can be pressed again', async () => {
    const api = withHistory(2);
    api.stop.mockRejectedValueOnce(new ApiError('unreachable', 'no'));
    const { chat } = await begun({ api });
    await chat.stopTurn();
    expect(chat.problem.get()?.kind).toBe('unreachable');
    expect(chat.stopping.get().size).toBe(0);
  });

  test('without a running turn does nothing', async () => {
    const { chat, api } = await begun();
    await chat.stopTurn();
    expect(api.stop).not.toHaveBeenCalled();
  });
});

describe('another conversation', () => {
  test('is shown even if the one before answers late', async () => {
    const api = withHistory(5);
    const { chat, latest } = await begun({ api });
    let late: (value: { turns: never[]; next: undefined }) => void = () => undefined;
    api.turns.mockImplementationOnce(
      () =>
        new Promise((resolve) => {
          late = resolve;
        }),
    );
    const slow = chat.open('slow');
    api.turns.mockResolvedValue({ turns: [], next: undefined });
    await chat.open('quick');
    late({ turns: [], next: undefined });
    await slow;
    expect(chat.conversation.get().id).toBe('quick');
    expect(
      sent(latest())
        .filter(({ op }) => op === 'unwatch')
        .map((message) => message.conversation_id),
    ).toEqual(['main', 'slow']);
  });
});

test('leaving forgets everything of the user', async () => {
  const { chat, latest, tab } = await begun({ api: withHistory(5) });
  chat.draft.set('half a message');
  chat.stop();
  expect(latest().closed).toBe(true);
  expect(chat.conversation.get().turns).toEqual([]);
  expect(chat.draft.get()).toBe('');
  expect(new Outbox(tab).of('main')).toEqual([]);
  expect(chat.phase.get().status).toBe('off');
});
