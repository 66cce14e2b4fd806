// A call of a tool: what it does, how far it is, how it ended; its arguments on demand.
import { useState } from 'react';
import { formatDuration } from '../format/money';
import { CheckIcon, ChevronIcon, CrossIcon } from '../ui/icons';
import { useNow } from '../ui/use-now';
import type { ToolRow } from './turn';
import './tool-row.css';

const TICK_MS = 200;
const MAX_ARGUMENTS = 4000;

function State({ tool, live }: { readonly tool: ToolRow; readonly live: boolean }) {
  if (tool.end === undefined)
    return live ? (
      <span className="spinner" role="img" aria-label="running" />
    ) : (
      <span className="tool-state" data-ok="false" role="img" aria-label="broken off">
        <CrossIcon />
      </span>
    );
  return (
    <span
      className="tool-state"
      data-ok={tool.end.ok}
      role="img"
      aria-label={tool.end.ok ? 'done' : 'failed'}
    >
      {tool.end.ok ? <CheckIcon /> : <CrossIcon />}
    </span>
  );
}

export function ToolRowView({ tool, live }: { readonly tool: ToolRow; readonly live: boolean }) {
  const [open, setOpen] = useState(false);
  const running = live && tool.end === undefined;
  return (
    <div
      className="tool"
      data-testid="tool"
      data-state={tool.end === undefined ? 'running' : tool.end.ok ? 'done' : 'failed'}
    >
      <button type="button" className="tool-head" aria-expanded={open} onClick={() => setOpen(!open)}>
        <State tool={tool} live={live} />
        <span className="tool-title">{tool.title}</span>
        <span className="tool-time">
          {tool.end !== undefined
            ? formatDuration(tool.end.durationMs)
            : running && <Running since={tool.startedAt} />}
        </span>
        <span className="tool-chevron" data-open={open}>
          <ChevronIcon />
        </span>
      </button>
      {running && <Progress tool={tool} />}
      {tool.end !== undefined && tool.end.summary !== '' && (
        <p className="tool-summary" title={tool.end.summary}>
          {tool.end.summary}
        </p>
      )}
      {open && (
        <div className="tool-detail">
          <code>{tool.tool}</code>
          <pre>{argumentsOf(tool.args)}</pre>
        </div>
      )}
    </div>
  );
}

const argumentsOf = (args: unknown): string => (JSON.stringify(args, null, 2) ?? '').slice(0, MAX_ARGUMENTS);

function Running({ since }: { readonly since: number }) {
  const now = useNow(TICK_MS);
  return <>{formatDuration(Math.max(0, now - since))}</>;
}

function Progress({ tool }: { readonly tool: ToolRow }) {
  const { progress } = tool;
  const share =
    progress?.total === undefined || progress.total <= 0
      ? undefined
      : Math.min(1, Math.max(0, progress.done / progress.total));
  return (
    <div className="tool-progress">
      <div
        className="bar"
        role="progressbar"
        aria-label={tool.title}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={share === undefined ? undefined : Math.round(share * 100)}
        data-known={share !== undefined}
      >
        <span style={share === undefined ? undefined : { transform: `scaleX(${share})` }} />
      </div>
      <span className="tool-message">{progress?.message ?? 'Working'}</span>
    </div>
  );
}
