// A modal dialog on the browser's own <dialog>: focus trap, Esc and backdrop come with it.
import { type ReactNode, useEffect, useRef } from 'react';
import './dialog.css';

interface DialogProps {
  readonly label: string;
  readonly className: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

export function Dialog({ label, className, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);

  useEffect(() => {
    const node = dialog.current;
    node?.showModal();
    // Without a field to type into, no button should look chosen.
    if (node?.querySelector('input') === null) node.focus();
    node?.querySelector<HTMLElement>('[data-autofocus]')?.focus();
    // The backdrop belongs to the dialog element itself, its content to children.
    const backdrop = (event: PointerEvent) => {
      if (event.target === node) node?.close();
    };
    node?.addEventListener('pointerdown', backdrop);
    return () => {
      node?.removeEventListener('pointerdown', backdrop);
      node?.close();
    };
  }, []);

  return (
    <dialog ref={dialog} tabIndex={-1} className={`dialog ${className}`} aria-label={label} onClose={onClose}>
      <div className="dialog-body">{children}</div>
    </dialog>
  );
}
