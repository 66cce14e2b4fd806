// Carries out what the assistant does to the chart, on the chart that is there.
import type { ViewState } from '../app/view-state';
import type { ChosenIndicators } from '../indicators/chosen';
import { chosenByName } from '../indicators/named-params';
import type { AnnotationBook } from './annotations';
import type { ChartAction } from './chart-action';

export class ChartControl {
  private readonly view: Pick<ViewState, 'symbol' | 'interval'>;
  private readonly indicators: Pick<ChosenIndicators, 'put' | 'removeKind' | 'removeAll'>;
  private readonly annotations: AnnotationBook;

  constructor(
    view: Pick<ViewState, 'symbol' | 'interval'>,
    indicators: Pick<ChosenIndicators, 'put' | 'removeKind' | 'removeAll'>,
    annotations: AnnotationBook,
  ) {
    this.view = view;
    this.indicators = indicators;
    this.annotations = annotations;
  }

  /** In order. The tab of a phone stays where it is: somebody reads the answer there. */
  readonly apply = (actions: readonly ChartAction[]): void => {
    for (const action of actions) this.applyOne(action);
  };

  private applyOne(action: ChartAction): void {
    const symbol = this.view.symbol.get();
    switch (action.action) {
      case 'show':
        this.view.symbol.set(action.symbol);
        this.view.interval.set(action.interval);
        return;
      case 'add_indicator': {
        const chosen = chosenByName(action.name, action.params);
        if (chosen !== undefined) this.indicators.put(chosen);
        return;
      }
      case 'remove_indicator': {
        const named = action.name === undefined ? undefined : chosenByName(action.name, undefined);
        if (action.name === undefined) this.indicators.removeAll();
        if (named !== undefined) this.indicators.removeKind(named.kind);
        return;
      }
      case 'markers':
        if (symbol !== undefined) this.annotations.setMarkers(symbol, action.group, action.markers);
        return;
      case 'levels':
        if (symbol !== undefined) this.annotations.setLevels(symbol, action.group, action.levels);
        return;
      case 'clear':
        if (symbol !== undefined) this.annotations.clear(symbol);
    }
  }
}
