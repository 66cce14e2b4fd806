// Makes the chart inside an element and keeps it in step with theme and session.
import { useEffect, useState } from 'react';
import type { Platform } from '../app/platform';
import { intervalSeconds } from '../market/interval';
import type { SeriesSession } from '../series/series-session';
import { useStore } from '../state/store';
import { readChartColors } from './chart-colors';
import { ChartSurface } from './chart-surface';

export function useChartSurface(
  host: HTMLElement | null,
  { frames, theme, current, diagnostics }: Platform,
): ChartSurface | undefined {
  const [surface, setSurface] = useState<ChartSurface>();
  const session = useStore(current.session);
  const shownTheme = useStore(theme.theme);

  useEffect(() => {
    if (host === null) return undefined;
    const made = new ChartSurface(host, readChartColors(host), frames, {
      needOlder: (visibleBars) => current.session.get()?.loadOlder(visibleBars),
    });
    setSurface(made);
    diagnostics.surface = made;
    return () => {
      diagnostics.surface = undefined;
      made.dispose();
    };
  }, [host, frames, current, diagnostics]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours follow the theme
  useEffect(() => {
    if (host !== null) surface?.setColors(readChartColors(host));
  }, [surface, host, shownTheme]);

  useEffect(() => {
    if (surface !== undefined && session !== undefined) return follow(surface, session);
    return undefined;
  }, [surface, session]);

  return surface;
}

function follow(surface: ChartSurface, session: SeriesSession): () => void {
  const { entry } = session;
  surface.show(entry.series, intervalSeconds(entry.interval));
  // A page that has arrived, or failed, may be followed by the next one.
  return session.state.subscribe(() => surface.reconsiderSoon());
}
