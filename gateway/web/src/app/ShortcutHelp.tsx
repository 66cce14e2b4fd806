// The list of keyboard shortcuts.
import { Dialog } from '../ui/Dialog';
import { CloseIcon } from '../ui/icons';
import { SHORTCUTS } from './shortcuts';

export function ShortcutHelp({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog label="Keyboard shortcuts" className="shortcuts" onClose={onClose}>
      <header className="shortcuts-head">
        <h2>Keyboard shortcuts</h2>
        <button type="button" className="icon-button" aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </button>
      </header>
      <dl>
        {SHORTCUTS.map(({ keys, does }) => (
          <div key={does}>
            <dt>{does}</dt>
            <dd>{keys.map((key) => (key === '…' ? ' … ' : <kbd key={key}>{key}</kbd>))}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
