// Knows whether the user holds the chart: a pressed pointer, or a fling that still rolls after a touch.

const SETTLE_MS = 200;

export class HoldWatch {
  private readonly host: HTMLElement;
  private readonly released: () => void;
  private pressed = false;
  private rolling = false;
  private settleTimer: ReturnType<typeof setTimeout> | undefined;

  /** `released` is called when the chart has come to rest. */
  constructor(host: HTMLElement, released: () => void) {
    this.host = host;
    this.released = released;
    host.addEventListener('pointerdown', this.press);
    window.addEventListener('pointerup', this.release);
    window.addEventListener('pointercancel', this.release);
  }

  get held(): boolean {
    return this.pressed || this.rolling;
  }

  /** The view moved: a roll goes on. */
  moved(): void {
    if (this.rolling) this.settleSoon();
  }

  dispose(): void {
    clearTimeout(this.settleTimer);
    this.host.removeEventListener('pointerdown', this.press);
    window.removeEventListener('pointerup', this.release);
    window.removeEventListener('pointercancel', this.release);
  }

  private readonly press = (): void => {
    this.pressed = true;
  };

  private readonly release = (): void => {
    if (!this.pressed) return;
    this.pressed = false;
    this.rolling = true;
    this.settleSoon();
  };

  private settleSoon(): void {
    clearTimeout(this.settleTimer);
    this.settleTimer = setTimeout(() => {
      this.rolling = false;
      this.released();
    }, SETTLE_MS);
  }
}
