// Collects work and runs it once per animation frame, so that 200 messages a second cost one paint, not 200.

type Task = () => void;
type Schedule = (run: () => void) => void;

/** In a hidden tab no frames come; a slow timer keeps the queue short there. */
const HIDDEN_DELAY_MS = 250;

const nextFrame: Schedule = (run) => {
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    run();
  };
  if (!document.hidden) requestAnimationFrame(once);
  setTimeout(once, HIDDEN_DELAY_MS);
};

/** A task that is added twice before the frame runs once: the queue is bounded by the number of distinct tasks. */
export class FrameBatch {
  private tasks = new Set<Task>();
  private readonly schedule: Schedule;

  constructor(schedule: Schedule = nextFrame) {
    this.schedule = schedule;
  }

  readonly add = (task: Task): void => {
    if (this.tasks.size === 0) this.schedule(this.run);
    this.tasks.add(task);
  };

  private readonly run = (): void => {
    const tasks = this.tasks;
    this.tasks = new Set();
    for (const task of tasks) task();
  };
}
