// Moves the focus to well-known places of the page.

export const COMPOSER_ID = 'chat-composer';

export function focusSearch(): void {
  const field = document.getElementById('symbol-search');
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  }
}

/** False where there is no chat to type into. */
export function focusComposer(): boolean {
  const field = document.getElementById(COMPOSER_ID);
  field?.focus();
  return field !== null;
}
