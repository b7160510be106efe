// Says what is wrong with a dashboard.json: conf/check-dashboard.mjs FILE... Exit code 1 when something is.

import { readFileSync } from 'node:fs';
import { checkBoard } from '../web/src/board/check.js';

let wrong = 0;

for (const file of process.argv.slice(2)) {
    let problems;
    try {
        problems = checkBoard(JSON.parse(readFileSync(file, 'utf8')));
    } catch (error) {
        problems = [error instanceof SyntaxError ? `it is no JSON: ${error.message}` : error.message];
    }

    if (problems.length > 0) {
        wrong += 1;
        console.log([`the dashboard's ${file} cannot be used:`, ...problems].join('\n  '));
    }
}

process.exit(wrong === 0 ? 0 : 1);
