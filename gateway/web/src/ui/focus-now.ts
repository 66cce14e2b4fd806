// A ref for what appears because somebody asked for it: the focus goes there, once.

export const focusNow = (node: HTMLElement | null): void => node?.focus();
