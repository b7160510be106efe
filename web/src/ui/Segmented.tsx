import type { ReactNode } from 'react';
import { Icon, type IconName } from './Icon';
import './button.css';

export interface Choice<V extends string> {
  value: V;
  label: string;
  icon?: IconName;
  /** Only the icon is seen. */
  iconOnly?: boolean;
  count?: number;
}

interface SegmentedProps<V extends string> {
  label: string;
  value: V;
  choices: readonly Choice<V>[];
  onChange: (value: V) => void;
  className?: string;
}

/** One of a few: buttons of which one is pressed. */
export function Segmented<V extends string>({ label, value, choices, onChange, className = '' }: SegmentedProps<V>): ReactNode {
  return (
    <div className={`segmented ${className}`} role="group" aria-label={label}>
      {choices.map((choice) => (
        <button
          key={choice.value}
          type="button"
          aria-pressed={choice.value === value}
          title={choice.iconOnly === true ? choice.label : undefined}
          onClick={() => onChange(choice.value)}
        >
          {choice.icon !== undefined && <Icon name={choice.icon} size={14} />}
          <span className={choice.iconOnly === true ? 'visually-hidden' : undefined}>{choice.label}</span>
          {choice.count !== undefined && <span className="segmented-count">{choice.count}</span>}
        </button>
      ))}
    </div>
  );
}
