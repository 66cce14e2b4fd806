// A button that opens a panel below itself; Esc and a click elsewhere close it and focus goes back.
import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import './popover.css';

interface PopoverProps {
  readonly label: string;
  readonly button: ReactNode;
  readonly buttonClass: string;
  readonly testId?: string;
  readonly children: ReactNode;
}

export function Popover({ label, button, buttonClass, testId, children }: PopoverProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const panelId = useId();

  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: PointerEvent) => {
      if (!(event.target instanceof Node) || !root.current?.contains(event.target)) setOpen(false);
    };
    const closeByKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      setOpen(false);
      trigger.current?.focus();
    };
    const node = root.current;
    document.addEventListener('pointerdown', outside);
    node?.addEventListener('keydown', closeByKey);
    return () => {
      document.removeEventListener('pointerdown', outside);
      node?.removeEventListener('keydown', closeByKey);
    };
  }, [open]);

  return (
    <div className="popover" ref={root}>
      <button
        type="button"
        ref={trigger}
        className={buttonClass}
        aria-label={label}
        aria-expanded={open}
        aria-controls={panelId}
        data-testid={testId}
        onClick={() => setOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <section className="popover-panel" id={panelId} aria-label={label}>
          {children}
        </section>
      )}
    </div>
  );
}
