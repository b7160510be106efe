import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const CANDIDATES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Starts the system's Chromium with a profile of its own that is gone afterwards. */
export async function launch() {
  const executablePath = CANDIDATES.find((path) => path && existsSync(path));
  if (!executablePath) {
    throw new Error('no Chromium found: install Debian\'s "chromium", or name one in CHROMIUM');
  }
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-dev-shm-usage',
    ],
  });
}

/**
 * A page that notes what it must not do: errors in the console, breaches of the content security policy, requests to other hosts.
 */
export async function openPage(browser, base, { width = 1440, height = 1000, theme = 'light', reducedMotion = 'no-preference', mobile = false } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion,
    hasTouch: mobile,
    isMobile: mobile,
    locale: 'en-GB',
  });
  const page = await context.newPage();
  const faults = { console: [], policy: [], foreign: [], failed: [] };
  const own = new URL(base).host;

  await page.exposeFunction('__policy', (text) => faults.policy.push(text));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      window.__policy(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile ?? ''}:${event.lineNumber}`);
    });
  });
  page.on('console', (message) => {
    if (message.type() === 'error') {
      faults.console.push(message.text());
    }
  });
  page.on('pageerror', (error) => faults.console.push(String(error)));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:' && url.protocol !== 'blob:' && url.host !== own) {
      faults.foreign.push(request.url());
    }
  });
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== own) {
      faults.foreign.push(socket.url());
    }
  });
  return { page, context, faults };
}
