// Moves the focus to well-known places of the page.

export function focusSearch(): void {
  const field = document.getElementById('symbol-search');
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  }
}
