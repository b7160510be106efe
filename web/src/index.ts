/**
 * The hooks and the client of a blockcast gateway, without the dashboard.
 */
export * from './client';
export * from './hooks';
