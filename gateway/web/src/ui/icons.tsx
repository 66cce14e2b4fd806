// The page's icons: small strokes on a 16-pixel grid, coloured by the text around them.
import type { ReactNode } from 'react';

const icon = (children: ReactNode) => () => (
  <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
    {children}
  </svg>
);

export const SearchIcon = icon(
  <>
    <circle cx="7" cy="7" r="4.25" />
    <path d="m10.2 10.2 3.3 3.3" />
  </>,
);
export const SunIcon = icon(
  <>
    <circle cx="8" cy="8" r="2.75" />
    <path d="M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1" />
  </>,
);
export const MoonIcon = icon(<path d="M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8Z" />);
export const StarIcon = icon(
  <path d="m8 2 1.8 3.75 4.1.55-3 2.85.75 4.05L8 11.25 4.35 13.2l.75-4.05-3-2.85 4.1-.55L8 2Z" />,
);
export const CloseIcon = icon(<path d="m4 4 8 8M12 4l-8 8" />);
export const PlusIcon = icon(<path d="M8 3v10M3 8h10" />);
export const KeyboardIcon = icon(
  <>
    <rect x="1.5" y="4" width="13" height="8.5" rx="1.75" />
    <path d="M4.2 7h.1M6.8 7h.1M9.4 7h.1M11.8 7h.1M5 9.8h6" />
  </>,
);
export const IndicatorIcon = icon(<path d="M1.75 11.5 5 7l2.75 2.75L11 4.5l3.25 3.25M1.75 14h12.5" />);
export const ListIcon = icon(<path d="M2.5 4h11M2.5 8h11M2.5 12h7" />);
export const ChartIcon = icon(
  <>
    <path d="M4 2v12M8 4v9M12 3v8" />
    <path d="M2.75 5.5h2.5v5h-2.5zM6.75 7h2.5v4h-2.5zM10.75 5h2.5v4h-2.5z" fill="currentColor" />
  </>,
);
export const TradesIcon = icon(
  <path d="M4.5 2.5v11m0 0L2 11m2.5 2.5L7 11M11.5 13.5v-11m0 0L9 5m2.5-2.5L14 5" />,
);
export const ToLatestIcon = icon(<path d="m3 3.5 4.5 4.5L3 12.5M12.5 3v10" />);
export const WarningIcon = icon(<path d="M8 2.2 14.6 13.5H1.4L8 2.2ZM8 6.6v3M8 11.6v.1" />);
export const InfoIcon = icon(
  <>
    <circle cx="8" cy="8" r="6" />
    <path d="M8 7.4v3.4M8 5.1v.1" />
  </>,
);
export const CheckIcon = icon(<path d="m3 8.5 3.25 3.25L13 5" />);
export const CrossIcon = icon(<path d="m4.5 4.5 7 7M11.5 4.5l-7 7" />);
export const CopyIcon = icon(
  <>
    <rect x="5.5" y="5.5" width="8" height="8" rx="1.75" />
    <path d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5" />
  </>,
);
export const ChatIcon = icon(
  <path d="M13.5 7.6c0 2.8-2.5 5-5.5 5-.8 0-1.6-.2-2.3-.4L2.5 13.5l.9-2.7A4.7 4.7 0 0 1 2.5 7.6c0-2.8 2.5-5 5.5-5s5.5 2.2 5.5 5Z" />,
);
export const SendIcon = icon(<path d="M8 13.2V3M3.6 7.4 8 3l4.4 4.4" />);
export const StopIcon = icon(<rect x="4" y="4" width="8" height="8" rx="1.5" fill="currentColor" />);
export const PersonIcon = icon(
  <>
    <circle cx="8" cy="5.4" r="2.75" />
    <path d="M2.75 13.5c.6-2.6 2.7-4 5.25-4s4.65 1.4 5.25 4" />
  </>,
);
export const DrawerIcon = icon(
  <>
    <rect x="2" y="2.75" width="12" height="10.5" rx="1.75" />
    <path d="M2 9h12" />
  </>,
);
export const CollapseIcon = icon(<path d="m6 3.5 4.5 4.5L6 12.5" />);
export const ChevronIcon = icon(<path d="m4 6 4 4 4-4" />);
export const OpenIcon = icon(
  <path d="M9.5 2.5h4v4M13.2 2.8 7.5 8.5M11.5 9.5v3a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1h3" />,
);
export const FileIcon = icon(
  <path d="M9 2H4.5A1.25 1.25 0 0 0 3.25 3.25v9.5A1.25 1.25 0 0 0 4.5 14h7a1.25 1.25 0 0 0 1.25-1.25V5.75L9 2Zm0 0v3.75h3.75" />,
);
export const MoreIcon = icon(<path d="M3 8h.1M8 8h.1M13 8h.1" strokeWidth="2.4" />);
