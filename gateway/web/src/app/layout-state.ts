// How the page is divided: the chat beside the chart, the drawer below it. Kept in the browser.
import { readSaved, type TextStorage, writeSaved } from '../state/saved';
import { Store } from '../state/store';

export const DRAWER_TABS = ['files', 'backtests', 'memory', 'activity'] as const;
export type DrawerTab = (typeof DRAWER_TABS)[number];

export const CHAT_WIDTH = { min: 300, initial: 380, max: 720 } as const;

interface Saved {
  readonly chatOpen: boolean;
  readonly chatWidth: number;
  readonly drawer: DrawerTab | undefined;
}

const KEY = 'layout.v1';
const INITIAL: Saved = { chatOpen: true, chatWidth: CHAT_WIDTH.initial, drawer: undefined };

export const clampWidth = (width: number): number =>
  Math.round(Math.min(CHAT_WIDTH.max, Math.max(CHAT_WIDTH.min, width)));

export function checkLayout(value: unknown): Saved | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { chatOpen, chatWidth, drawer } = value as Record<string, unknown>;
  return {
    chatOpen: typeof chatOpen === 'boolean' ? chatOpen : INITIAL.chatOpen,
    chatWidth:
      typeof chatWidth === 'number' && Number.isFinite(chatWidth) ? clampWidth(chatWidth) : INITIAL.chatWidth,
    drawer: DRAWER_TABS.find((tab) => tab === drawer),
  };
}

export class LayoutState {
  readonly chatOpen: Store<boolean>;
  readonly chatWidth: Store<number>;
  /** The open tab of the drawer; undefined while it is closed. */
  readonly drawer: Store<DrawerTab | undefined>;
  /** On a phone the drawer is a tab of its own and always shows something. */
  readonly lastDrawer: Store<DrawerTab>;
  private readonly storage: TextStorage | undefined;

  constructor(storage: TextStorage | undefined) {
    this.storage = storage;
    const saved = readSaved(storage, KEY, checkLayout) ?? INITIAL;
    this.chatOpen = new Store(saved.chatOpen);
    this.chatWidth = new Store(saved.chatWidth);
    this.drawer = new Store<DrawerTab | undefined>(saved.drawer);
    this.lastDrawer = new Store<DrawerTab>(saved.drawer ?? 'files');
    for (const store of [this.chatOpen, this.chatWidth, this.drawer]) store.subscribe(this.save);
  }

  readonly toggleChat = (): void => this.chatOpen.set(!this.chatOpen.get());

  readonly resizeChat = (width: number): void => this.chatWidth.set(clampWidth(width));

  readonly openDrawer = (tab: DrawerTab): void => {
    this.lastDrawer.set(tab);
    this.drawer.set(tab);
  };

  readonly toggleDrawer = (): void =>
    this.drawer.set(this.drawer.get() === undefined ? this.lastDrawer.get() : undefined);

  private readonly save = (): void =>
    writeSaved(this.storage, KEY, {
      chatOpen: this.chatOpen.get(),
      chatWidth: this.chatWidth.get(),
      drawer: this.drawer.get(),
    });
}
