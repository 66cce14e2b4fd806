// Dark or light: follows the system until the user chooses, the choice is kept in the browser.
import { forgetSaved, readSaved, type TextStorage, writeSaved } from '../state/saved';
import { Store } from '../state/store';

export type Theme = 'dark' | 'light';
export type ThemeChoice = Theme | 'system';

const KEY = 'theme.v1';

export const checkTheme = (value: unknown): Theme | undefined =>
  value === 'dark' || value === 'light' ? value : undefined;

export class ThemeState {
  readonly choice: Store<ThemeChoice>;
  /** What is shown. */
  readonly theme: Store<Theme>;
  private readonly storage: TextStorage | undefined;
  private readonly system: MediaQueryList;
  private readonly root: HTMLElement;

  constructor(storage: TextStorage | undefined, system: MediaQueryList, root: HTMLElement) {
    this.storage = storage;
    this.system = system;
    this.root = root;
    this.choice = new Store<ThemeChoice>(readSaved(storage, KEY, checkTheme) ?? 'system');
    this.theme = new Store<Theme>('dark');
    system.addEventListener('change', this.apply);
    this.apply();
  }

  readonly choose = (choice: ThemeChoice): void => {
    this.choice.set(choice);
    if (choice === 'system') forgetSaved(this.storage, KEY);
    else writeSaved(this.storage, KEY, choice);
    this.apply();
  };

  readonly toggle = (): void => this.choose(this.theme.get() === 'dark' ? 'light' : 'dark');

  private readonly apply = (): void => {
    const choice = this.choice.get();
    const theme = choice === 'system' ? (this.system.matches ? 'dark' : 'light') : choice;
    this.root.dataset.theme = theme;
    this.theme.set(theme);
  };
}
