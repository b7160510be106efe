/** For the tests of whoever uses the package: a WebSocket whose other end is the test. */
export { FakeSocket } from './FakeSocket';
export { forgetSharedClients } from '../client';
