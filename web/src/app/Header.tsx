import type { ReactNode } from 'react';
import type { Board } from '../board/types';
import { Icon } from '../ui/Icon';
import { Segmented, type Choice } from '../ui/Segmented';
import type { Health } from './health';
import { Pill } from './Banner';
import { setNotify, useNotify } from './notify';
import { setTheme, useTheme, type Theme } from './theme';
import '../ui/button.css';
import './Header.css';

const THEMES: readonly Choice<Theme>[] = [
  { value: 'system', label: 'As the system', icon: 'screen', iconOnly: true },
  { value: 'light', label: 'Light', icon: 'sun', iconOnly: true },
  { value: 'dark', label: 'Dark', icon: 'moon', iconOnly: true },
];

const APPLE = typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.userAgent);

export function Header({ health, board, onFind }: { health: Health; board: Board | null; onFind: () => void }): ReactNode {
  const theme = useTheme();
  const notify = useNotify();
  return (
    <header className="header" data-level={health.level}>
      <div className="header-inner">
        <div className="brand">
          <Logo />
          <h1>
            {board?.title ?? 'blockcast'} <span className="brand-sub">{board?.subtitle ?? 'network dashboard'}</span>
          </h1>
        </div>
        {/* Before what has a width of its own: a longer word takes room of the name, and moves nothing. */}
        <Pill health={health} />
        <button type="button" className="button find" onClick={onFind} aria-keyshortcuts="Control+K Meta+K /">
          <Icon name="search" size={15} />
          <span className="find-word">Search</span>
          <kbd aria-hidden="true">{APPLE ? '⌘ K' : 'Ctrl K'}</kbd>
        </button>
        {notify !== 'unable' && (
          <button
            type="button"
            className="button button-icon bell"
            aria-pressed={notify === 'on'}
            disabled={notify === 'denied'}
            title={notify === 'denied' ? 'This browser was told to show no notifications of this page' : notify === 'on' ? 'Tells you when the node is down' : 'Tell me when the node is down'}
            onClick={() => void setNotify(notify !== 'on')}
          >
            <Icon name="bell" size={16} />
            <span className="visually-hidden">Tell me when the node is down</span>
          </button>
        )}
        <Segmented label="Theme" value={theme} choices={THEMES} onChange={setTheme} className="segmented-icons" />
      </div>
    </header>
  );
}

function Logo(): ReactNode {
  return (
    <svg className="logo" width="28" height="28" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" />
      <g fill="none" stroke="#fff" strokeWidth="2.4" strokeLinecap="round" strokeLinejoin="round">
        <path d="M16 12.2 20.6 15v5.4L16 23.2l-4.6-2.8V15z" fill="#fff" fillOpacity=".25" />
        <path d="M9.4 20.8a9 9 0 0 1 0-9.6M22.6 11.2a9 9 0 0 1 0 9.6M6 23.2a14 14 0 0 1 0-14.4M26 8.8a14 14 0 0 1 0 14.4" />
      </g>
    </svg>
  );
}
