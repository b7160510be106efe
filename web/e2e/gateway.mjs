/**
 * What the browser tests do to the gateway and its node. Two of them:
 *
 * - the mock, inside this process (`E2E_GATEWAY=mock`);
 * - a real one at BASE_URL, whose faults are shell commands from the environment, so that whoever started nginx and the node
 *   says how they are stopped:
 *
 *     E2E_RELOAD       nginx -s reload
 *     E2E_KILL_WORKER  kill -9 of every worker, or of the one that has the clients
 *     E2E_NODE_DOWN    the node stops answering
 *     E2E_NODE_UP      and answers again
 *     E2E_STOP         nginx is gone
 *     E2E_START        and back
 *
 * Each command returns when what it names has been asked for; the tests wait for its effect themselves.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const shell = promisify(execFile);

/** Resolves with the gateway to test: its address and its faults. */
export async function openGateway() {
  return process.env.E2E_GATEWAY === 'mock' ? openMock() : openReal(process.env.BASE_URL ?? 'http://127.0.0.1:8000');
}

function openReal(base) {
  const command = (name) => async () => {
    const text = process.env[name];
    if (!text) {
      throw new Error(`${name} is not set: the command for this fault is missing`);
    }
    await shell('/bin/sh', ['-c', text], { timeout: 60_000 });
  };
  return {
    name: base,
    base: base.replace(/\/$/, ''),
    reload: command('E2E_RELOAD'),
    killWorker: command('E2E_KILL_WORKER'),
    nodeDown: command('E2E_NODE_DOWN'),
    nodeUp: command('E2E_NODE_UP'),
    stop: command('E2E_STOP'),
    start: command('E2E_START'),
    close: async () => {},
  };
}

async function openMock() {
  const { MockGateway } = await import('../test/mock-gateway.mjs');
  const gateway = new MockGateway({ port: 0 });
  const base = await gateway.start();
  return {
    name: 'mock gateway',
    base,
    reload: async () => gateway.reload(),
    killWorker: async () => gateway.killWorker(),
    nodeDown: async () => gateway.nodeDown(),
    nodeUp: async () => gateway.nodeUp(),
    stop: async () => gateway.stop(),
    start: async () => void (await gateway.start()),
    close: async () => gateway.stop(),
  };
}
