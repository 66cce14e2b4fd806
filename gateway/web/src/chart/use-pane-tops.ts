// Where the panes of indicators begin, so that their legends can be placed over them.
import { useEffect, useState } from 'react';
import { useStore } from '../state/store';
import type { ChartSurface } from './chart-surface';

/** Pixels from the top of `host` by indicator key; follows resizing and dragged separators. */
export function usePaneTops(surface: ChartSurface, host: HTMLElement, keys: readonly string[]) {
  const layout = useStore(surface.indicators.layout);
  const [tops, setTops] = useState<ReadonlyMap<string, number>>(new Map());
  const list = keys.join('|');

  // biome-ignore lint/correctness/useExhaustiveDependencies: `layout` says that panes came or went
  useEffect(() => {
    const measure = () => {
      const hostTop = host.getBoundingClientRect().top;
      const entries = list.split('|').flatMap((key): [string, number][] => {
        const element = surface.indicators.paneElement(key);
        return element === undefined ? [] : [[key, element.getBoundingClientRect().top - hostTop]];
      });
      setTops(new Map(entries));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(host);
    // The library builds a new pane in its next frame.
    const frame = requestAnimationFrame(() => {
      for (const key of list.split('|')) {
        const element = surface.indicators.paneElement(key);
        if (element !== undefined) observer.observe(element);
      }
    });
    return () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
    };
  }, [surface, host, list, layout]);

  return tops;
}
