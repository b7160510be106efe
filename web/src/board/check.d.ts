import type { Board, PanelConfig } from './types';

export const FORMATS: readonly string[];
export const COMPUTED: readonly string[];
export const PANELS: readonly string[];

/** Every sentence that there is to say about `board`; none when it can be shown. */
export function checkBoard(board: unknown): string[];

/** The name of a panel in the page's address. */
export function panelId(panel: PanelConfig): string;

export type { Board };
