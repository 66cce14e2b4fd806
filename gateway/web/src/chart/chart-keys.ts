// Moving and zooming the chart from the keyboard, while it has the focus.
import type { KeyboardEvent } from 'react';
import type { ChartSurface } from './chart-surface';

const PAN_SHARE = 0.12;
const ZOOM_FACTOR = 1.25;

const MOVES = new Map<string, (surface: ChartSurface) => void>([
  ['ArrowLeft', (surface) => surface.pan(-PAN_SHARE)],
  ['ArrowRight', (surface) => surface.pan(PAN_SHARE)],
  ['PageUp', (surface) => surface.pan(-1)],
  ['PageDown', (surface) => surface.pan(1)],
  ['+', (surface) => surface.zoom(ZOOM_FACTOR)],
  ['=', (surface) => surface.zoom(ZOOM_FACTOR)],
  ['-', (surface) => surface.zoom(1 / ZOOM_FACTOR)],
  ['End', (surface) => surface.showLatest()],
  ['0', (surface) => surface.resetView()],
]);

export function moveByKey(event: KeyboardEvent, surface: ChartSurface): void {
  const move = MOVES.get(event.key);
  if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  move(surface);
}
