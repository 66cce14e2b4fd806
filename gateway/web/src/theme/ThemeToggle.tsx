// The button that switches between dark and light.
import { usePlatform } from '../app/platform-context';
import { useStore } from '../state/store';
import { MoonIcon, SunIcon } from '../ui/icons';

export function ThemeToggle() {
  const { theme } = usePlatform();
  const shown = useStore(theme.theme);
  const other = shown === 'dark' ? 'light' : 'dark';
  return (
    <button
      type="button"
      className="icon-button"
      data-testid="theme-toggle"
      aria-label={`Switch to the ${other} theme`}
      title={`Switch to the ${other} theme (T)`}
      onClick={theme.toggle}
    >
      {shown === 'dark' ? <SunIcon /> : <MoonIcon />}
    </button>
  );
}
