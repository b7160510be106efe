/** A small runner: named tests one after the other, and a closing line that says how many passed. */

const tests = [];

export function test(name, body) {
  tests.push({ name, body });
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

/** Runs the tests whose name has one of `words` (all, when there are none). Resolves with the number of failures. */
export async function run(target, words) {
  let passed = 0;
  let failed = 0;
  console.log(`dashboard on ${target}`);
  for (const { name, body } of tests) {
    if (words.length > 0 && !words.some((word) => name.includes(word))) {
      continue;
    }
    const started = Date.now();
    try {
      await body();
      passed += 1;
      console.log(`ok   ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}\n     ${String(error.message ?? error).replace(/\n/g, '\n     ')}`);
    }
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed;
}
