// The conversation on screen: loads it, follows it live, fills gaps, sends and stops. Events come in, state goes out.
import { type ApiError, toApiError } from '../api/api-error';
import { asString, type Json } from '../api/decode';
import type { ChartAction } from '../chart/chart-action';
import type { FrameBatch } from '../state/frame-batch';
import { Store } from '../state/store';
import type { ChartMark } from './chart-mark';
import type { ChatApi, ContainerInfo, ConversationEntry, Prompt, TurnEntry } from './chat-api';
import { ChatSocket, type ChatSocketWorld } from './chat-socket';
import {
  addOutgoing,
  type Conversation,
  changeOutgoing,
  dropOutgoing,
  emptyConversation,
  findTurn,
  type Outgoing,
  runningTurn,
  takeEvents,
} from './conversation';
import { decodeNumbered, type Numbered } from './events';
import type { Outbox } from './outbox';
import { hasGap } from './turn';

export type ChatPhase =
  | { readonly status: 'off' | 'loading' | 'ready' }
  | { readonly status: 'failed'; readonly error: ApiError };

export interface ChatWorld {
  readonly api: ChatApi;
  readonly socket: Omit<ChatSocketWorld, 'ticket'>;
  readonly frames: Pick<FrameBatch, 'add'>;
  readonly mark: ChartMark;
  readonly outbox: Outbox;
  readonly newId: () => string;
  readonly applyToChart: (actions: readonly ChartAction[]) => void;
  readonly userEvent: (event: unknown) => void;
  readonly sessionEnded: () => void;
}

export const MAIN = 'main';
const PAGE = 8;
/** An answer that needs more pages than this is not fetched on. */
const MAX_PAGES = 20;
const POLL_MS = 2000;

export class Chat {
  readonly conversation = new Store<Conversation>(emptyConversation(MAIN));
  readonly phase = new Store<ChatPhase>({ status: 'off' });
  readonly conversations = new Store<readonly ConversationEntry[]>([]);
  readonly prompts = new Store<readonly Prompt[] | undefined>(undefined);
  readonly container = new Store<ContainerInfo | undefined>(undefined);
  /** Turns that are asked to stop. */
  readonly stopping = new Store<ReadonlySet<string>>(new Set());
  /** Where older turns go on; undefined at the beginning of the conversation. */
  readonly older = new Store<string | undefined>(undefined);
  readonly draft = new Store('');
  /** The last thing that went wrong beside a turn, with its own place on the page. */
  readonly problem = new Store<ApiError | undefined>(undefined);
  readonly socket: ChatSocket;
  private readonly world: ChatWorld;
  private state = emptyConversation(MAIN);
  /** Tells answers for a conversation that was left. */
  private epoch = 0;
  private readonly repairing = new Set<string>();
  private pollTimer: ReturnType<typeof setInterval> | undefined;
  private started = false;

  constructor(world: ChatWorld) {
    this.world = world;
    this.socket = new ChatSocket(
      { ...world.socket, ticket: () => world.api.ticket() },
      {
        opened: () => this.watch(true),
        message: (message) => this.receive(message),
        sessionEnded: world.sessionEnded,
      },
    );
  }

  start(): void {
    if (this.started) return;
    this.started = true;
    this.pollTimer = setInterval(() => this.poll(), POLL_MS);
    this.socket.start();
    void this.open(MAIN);
    void this.refreshConversations();
    void this.refreshContainer();
    this.world.api.prompts().then(this.prompts.set, () => this.prompts.set([]));
  }

  /** Opens the live connection again after the session was renewed. */
  readonly reconnect = (): void => {
    if (this.started) this.socket.start();
  };

  /** Forgets everything: somebody else may sign in. */
  stop(): void {
    if (!this.started) return;
    this.started = false;
    this.epoch += 1;
    clearInterval(this.pollTimer);
    this.socket.stop();
    this.replace(emptyConversation(MAIN));
    this.world.outbox.clear();
    this.phase.set({ status: 'off' });
    this.conversations.set([]);
    this.prompts.set(undefined);
    this.container.set(undefined);
    this.stopping.set(new Set());
    this.older.set(undefined);
    this.draft.set('');
    this.problem.set(undefined);
  }

  /** Shows a conversation from its newest turns on. */
  readonly open = async (id: string): Promise<void> => {
    this.epoch += 1;
    const { epoch } = this;
    const left = this.state.id;
    if (left !== id) this.socket.send({ op: 'unwatch', conversation_id: left });
    this.replace(emptyConversation(id));
    this.older.set(undefined);
    this.phase.set({ status: 'loading' });
    try {
      const page = await this.world.api.turns(id, undefined, PAGE);
      await this.loadTurns(page.turns, epoch, page.turns[0]);
      if (epoch !== this.epoch) return;
      this.older.set(page.next);
      this.phase.set({ status: 'ready' });
      this.watch(false);
      for (const unsent of this.world.outbox.of(id)) void this.deliver(unsent.messageId, unsent.text);
    } catch (error) {
      if (epoch === this.epoch) this.phase.set({ status: 'failed', error: toApiError(error) });
    }
  };

  readonly startNew = (): void => void this.open(`c-${this.world.newId().toLowerCase()}`);

  readonly loadOlder = async (): Promise<void> => {
    const before = this.older.get();
    if (before === undefined) return;
    this.older.set(undefined);
    const { epoch } = this;
    try {
      const page = await this.world.api.turns(this.state.id, before, PAGE);
      await this.loadTurns(page.turns, epoch, undefined);
      if (epoch === this.epoch) this.older.set(page.next);
    } catch (error) {
      if (epoch !== this.epoch) return;
      this.older.set(before);
      this.problem.set(toApiError(error));
    }
  };

  /** Sends what was typed; the same id goes with it until the gateway has confirmed it. */
  readonly send = (text: string): void => {
    const messageId = this.world.newId();
    this.world.outbox.keep({ messageId, conversationId: this.state.id, text });
    void this.deliver(messageId, text);
  };

  /** Tries a message again that could not be sent. */
  readonly resend = ({ messageId, text }: Outgoing): void => void this.deliver(messageId, text);

  readonly discard = ({ messageId }: Outgoing): void => {
    this.world.outbox.drop(messageId);
    this.replace(dropOutgoing(this.state, messageId));
  };

  /** Stops a turn, the running one if none is named; the gateway ends it with the outcome `stopped`. */
  readonly stopTurn = async (turnId = runningTurn(this.state)?.id): Promise<void> => {
    if (turnId === undefined || this.stopping.get().has(turnId)) return;
    this.stopping.set(new Set(this.stopping.get()).add(turnId));
    try {
      await this.world.api.stop(turnId);
      setTimeout(() => void this.repair(turnId), POLL_MS);
    } catch (error) {
      this.problem.set(toApiError(error));
      this.settleStop(turnId);
    }
  };

  readonly wakeContainer = async (): Promise<void> => {
    this.container.set({ state: 'starting', message: '' });
    await this.world.api.wake().catch((error: unknown) => this.problem.set(toApiError(error)));
    await this.refreshContainer();
  };

  private async deliver(messageId: string, text: string): Promise<void> {
    const { epoch } = this;
    const conversationId = this.state.id;
    const message: Outgoing = { messageId, text, turnId: undefined, state: 'sending', error: undefined };
    this.replace(addOutgoing(this.state, message));
    try {
      const { turnId, queued } = await this.world.api.send({ messageId, conversationId, text });
      this.world.outbox.drop(messageId);
      if (epoch !== this.epoch) return;
      this.replace(changeOutgoing(this.state, messageId, { turnId, state: queued ? 'queued' : 'taken' }));
    } catch (error) {
      if (epoch !== this.epoch) return;
      this.replace(changeOutgoing(this.state, messageId, { state: 'failed', error: toApiError(error) }));
    }
  }

  private async loadTurns(
    entries: readonly TurnEntry[],
    epoch: number,
    newest: TurnEntry | undefined,
  ): Promise<void> {
    const loaded = await Promise.all(
      entries.map(async ({ turnId }) => ({ turnId, events: await this.allEvents(turnId, 0) })),
    );
    if (epoch !== this.epoch) return;
    const last = newest === undefined ? undefined : loaded.find(({ turnId }) => turnId === newest.turnId);
    this.world.mark.beginAt({
      conversationId: this.state.id,
      turnId: newest?.turnId ?? '',
      sequence: last?.events.at(-1)?.sequence ?? 0,
    });
    for (const { turnId, events } of loaded.reverse()) this.take(turnId, events);
  }

  private async allEvents(turnId: string, after: number): Promise<Numbered[]> {
    const all: Numbered[] = [];
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const { events, ended } = await this.world.api.events(turnId, all.at(-1)?.sequence ?? after);
      all.push(...events);
      if (events.length === 0 || (ended && all.at(-1)?.event.type === 'turn_ended')) break;
    }
    return all;
  }

  /** Follows the conversation behind what is known; after a lost connection also asks what was missed. */
  private watch(again: boolean): void {
    if (this.phase.get().status !== 'ready') return;
    const turn = runningTurn(this.state) ?? this.state.turns.at(-1);
    const place = turn === undefined ? {} : { turn_id: turn.id, after: turn.sequence };
    const sent = this.socket.send({ op: 'watch', conversation_id: this.state.id, ...place });
    if (sent && again) void this.catchUp();
  }

  /** Turns that began and ended while nobody listened. */
  private async catchUp(): Promise<void> {
    const { epoch } = this;
    try {
      const { turns } = await this.world.api.turns(this.state.id, undefined, PAGE);
      if (epoch !== this.epoch) return;
      for (const { turnId, lastSequence } of turns.toReversed()) {
        if ((findTurn(this.state, turnId)?.sequence ?? 0) < lastSequence) await this.repair(turnId);
      }
    } catch (error) {
      console.warn('what was missed could not be fetched; the next connection tries again:', error);
    }
  }

  private receive(message: Json): void {
    switch (message.type) {
      case 'event':
        if (message.conversation_id === this.state.id)
          this.take(asString(message.turn_id, 'turn_id'), [decodeNumbered(message.event)]);
        return;
      case 'user_event':
        this.world.userEvent(message.event);
        return;
      case 'conversations':
        void this.refreshConversations();
        return;
      default:
    }
  }

  private take(turnId: string, events: readonly Numbered[]): void {
    const before = findTurn(this.state, turnId);
    this.replace(takeEvents(this.state, turnId, events));
    const turn = findTurn(this.state, turnId);
    if (turn === undefined || turn === before) return;
    for (const { end } of turn.tools) {
      if (end === undefined || end.sequence <= (before?.sequence ?? 0)) continue;
      const place = { conversationId: this.state.id, turnId, sequence: end.sequence };
      if (end.chart.length > 0 && this.world.mark.pass(place)) this.world.applyToChart(end.chart);
    }
    if (turn.end !== undefined && before?.end === undefined) {
      this.settleStop(turnId);
      if (this.phase.get().status === 'ready') {
        void this.refreshContainer();
        void this.refreshConversations();
      }
    }
    if (hasGap(turn)) void this.repair(turnId);
  }

  /** Fetches the events of a turn behind those that are known. */
  private async repair(turnId: string): Promise<void> {
    if (this.repairing.has(turnId)) return;
    const { epoch } = this;
    this.repairing.add(turnId);
    try {
      const events = await this.allEvents(turnId, findTurn(this.state, turnId)?.sequence ?? 0);
      if (epoch === this.epoch) this.take(turnId, events);
    } catch (error) {
      console.warn('events of a turn could not be fetched; asked again later:', error);
    } finally {
      this.repairing.delete(turnId);
    }
  }

  /** While no WebSocket works, answers still come: slower, over HTTP. Also fills gaps that a failed repair left. */
  private poll(): void {
    if (this.phase.get().status !== 'ready') return;
    const live = this.socket.connection.get().status === 'open';
    const waiting = this.state.outgoing.flatMap(({ state, turnId }) =>
      state === 'taken' && turnId !== undefined ? [turnId] : [],
    );
    const open = this.state.turns.filter((turn) => turn.end === undefined && (!live || hasGap(turn)));
    for (const turnId of [...(live ? waiting.slice(0, 1) : waiting), ...open.map(({ id }) => id)])
      void this.repair(turnId);
  }

  private settleStop(turnId: string): void {
    if (!this.stopping.get().has(turnId)) return;
    const left = new Set(this.stopping.get());
    left.delete(turnId);
    this.stopping.set(left);
  }

  private async refreshConversations(): Promise<void> {
    await this.world.api.conversations().then(this.conversations.set, () => undefined);
  }

  private async refreshContainer(): Promise<void> {
    await this.world.api.container().then(this.container.set, () => undefined);
  }

  /** The page sees a new state once per frame, however many events came. */
  private replace(next: Conversation): void {
    this.state = next;
    this.world.frames.add(this.publish);
  }

  private readonly publish = (): void => this.conversation.set(this.state);
}
