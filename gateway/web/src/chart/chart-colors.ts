// The colours of the chart, read from the page's CSS variables so that one place defines them.

export interface ChartColors {
  readonly background: string;
  readonly text: string;
  readonly grid: string;
  readonly border: string;
  readonly crosshair: string;
  readonly label: string;
  readonly up: string;
  readonly down: string;
  readonly upVolume: string;
  readonly downVolume: string;
  /** For indicator lines, in order. */
  readonly lines: readonly string[];
}

const LINE_COUNT = 6;

/** Resolves the variables as they are now; call again after the theme changed. */
export function readChartColors(host: HTMLElement): ChartColors {
  const probe = document.createElement('span');
  host.append(probe);
  const color = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const colors: ChartColors = {
    background: color('--panel'),
    text: color('--text-muted'),
    grid: color('--chart-grid'),
    border: color('--border'),
    crosshair: color('--chart-crosshair'),
    label: color('--chart-label'),
    up: color('--up'),
    down: color('--down'),
    upVolume: color('--up-volume'),
    downVolume: color('--down-volume'),
    lines: Array.from({ length: LINE_COUNT }, (_, index) => color(`--line-${index + 1}`)),
  };
  probe.remove();
  return colors;
}
