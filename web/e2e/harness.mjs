/**
 * A small runner: named tests, several at once, and a closing line that says how many passed. Those that stop the node or nginx, or
 * that measure what the browser takes, run alone, after the others.
 */

const tests = [];

export function test(name, body) {
  tests.push({ name, body, alone: false });
}

export function testAlone(name, body) {
  tests.push({ name, body, alone: true });
}

export function check(truth, what) {
  if (!truth) {
    throw new Error(`expected ${what}`);
  }
}

export function equal(actual, expected, what) {
  if (actual !== expected) {
    throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
  }
}

/** Asks until the answer is true; any other answer is the reason for the failure after `seconds`. */
export async function until(ask, seconds) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    let answer;
    try {
      answer = await ask();
    } catch (error) {
      answer = error.message;
    }
    if (answer === true) {
      return;
    }
    if (Date.now() > end) {
      throw new Error(`after ${seconds} s: ${answer || 'still not so'}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/** Runs the tests whose name has one of `words` (all, when there are none), `lanes` at once. Resolves with the number of failures. */
export async function run(target, words, lanes) {
  let passed = 0;
  let failed = 0;
  const wanted = tests.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
  console.log(`dashboard on ${target}`);

  const one = async ({ name, body }) => {
    const started = Date.now();
    const said = [];
    let wrong = null;
    try {
      await body((line) => said.push(`     ${line}\n`));
      passed += 1;
    } catch (error) {
      failed += 1;
      wrong = String(error.message ?? error);
    }
    const took = `(${((Date.now() - started) / 1000).toFixed(1)} s)`;
    process.stdout.write(`${said.join('')}${wrong === null ? `ok   ${name} ${took}` : `FAIL ${name} ${took}\n     ${wrong.replace(/\n/g, '\n     ')}`}\n`);
  };
  const lane = async (queue) => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      await one(next);
    }
  };
  const together = wanted.filter(({ alone }) => !alone);
  await Promise.all(Array.from({ length: lanes }, () => lane(together)));
  await lane(wanted.filter(({ alone }) => alone));
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed;
}
