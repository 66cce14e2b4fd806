// The menu behind "Indicators": what is on the chart with its parameters, and what can be added.
import { useState } from 'react';
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { CloseIcon, IndicatorIcon, PlusIcon } from '../ui/icons';
import { Popover } from '../ui/Popover';
import { type ChosenIndicator, chosenKey, INDICATORS, type ParamSpec, specOf } from './catalog';
import { MAX_CHOSEN } from './chosen';
import './indicators.css';

export function IndicatorMenu() {
  const { indicators } = usePlatform();
  const chosen = useStore(indicators.list);
  const full = chosen.length >= MAX_CHOSEN;
  return (
    <Popover
      label="Indicators"
      buttonClass="button indicator-button"
      button={
        <>
          <IndicatorIcon />
          <span>Indicators</span>
          {chosen.length > 0 && <span className="count">{chosen.length}</span>}
        </>
      }
    >
      {chosen.length > 0 && (
        <div className="indicator-group">
          <h3>On the chart</h3>
          {chosen.map((item) => (
            <ChosenRow key={chosenKey(item)} item={item} />
          ))}
        </div>
      )}
      <div className="indicator-group">
        <h3>{full ? `No more than ${MAX_CHOSEN} at a time` : 'Add'}</h3>
        {INDICATORS.map(({ kind, label, title, placement }) => (
          <button
            key={kind}
            type="button"
            className="indicator-add"
            disabled={full}
            onClick={() => indicators.add(kind)}
          >
            <span className="indicator-name">{label}</span>
            <span className="indicator-title">{title}</span>
            <span className="indicator-place">{placement === 'pane' ? 'own pane' : ''}</span>
            <PlusIcon />
          </button>
        ))}
      </div>
    </Popover>
  );
}

function ChosenRow({ item }: { readonly item: ChosenIndicator }) {
  const { indicators } = usePlatform();
  const key = chosenKey(item);
  const spec = specOf(item.kind);
  return (
    <div className="indicator-chosen">
      <span className="indicator-name">{spec.label}</span>
      <span className="indicator-params">
        {spec.params.map((param, index) => (
          <ParamField
            key={param.name}
            param={param}
            value={item.params[index] ?? param.initial}
            label={`${spec.label}: ${param.name}`}
            onChange={(value) => indicators.change(key, item.params.with(index, value))}
          />
        ))}
      </span>
      <button
        type="button"
        className="icon-button small"
        aria-label={`Remove ${spec.label}`}
        onClick={() => indicators.remove(key)}
      >
        <CloseIcon />
      </button>
    </div>
  );
}

interface ParamFieldProps {
  readonly param: ParamSpec;
  readonly value: number;
  readonly label: string;
  readonly onChange: (value: number) => void;
}

/** Takes effect when the user leaves the field or presses Enter, so that half a number is never asked for. */
function ParamField({ param, value, label, onChange }: ParamFieldProps) {
  const [text, setText] = useState(String(value));
  const commit = () => {
    const number = Number(text);
    const steps = Math.round(number / param.step) * param.step;
    if (text !== '' && number >= param.min && number <= param.max) onChange(steps);
    else setText(String(value));
  };
  return (
    <input
      className="param"
      type="number"
      min={param.min}
      max={param.max}
      step={param.step}
      title={param.name}
      aria-label={label}
      value={text}
      onChange={(event) => setText(event.target.value)}
      onBlur={commit}
      onKeyDown={(event) => event.key === 'Enter' && commit()}
    />
  );
}
