/**
 * What a reader, or React, would stumble over, beyond what the compiler tells (npm run typecheck): with the TypeScript that is here
 * anyway, and nothing more. Prints one finding a line; the exit code is 1 when there are any.
 *
 *   hooks      a hook is called by a component or by another hook, always, and in the same order (react.dev, "Rules of Hooks")
 *   left       debugger, console.log, a test that is alone or skipped
 *   text       tabs, blanks at the end of a line, no or two line ends at the end of a file
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const HOME = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['src', 'test', 'e2e', 'scripts', 'bench'];
const HOOK = /^use[A-Z]/;
const OWNER = /^(use[A-Z]|[A-Z])/;

const findings = [];

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? (['node_modules', 'output'].includes(entry.name) ? [] : files(path)) : [path];
  });
}

/** What a function is called, by itself or by what it is given to: `memo(function Row() {})`, `const useIt = () => {}`. */
function nameOf(node) {
  if (node.name !== undefined) {
    return node.name.getText();
  }
  let { parent } = node;
  while (ts.isCallExpression(parent) || ts.isParenthesizedExpression(parent)) {
    ({ parent } = parent);
  }
  return ts.isVariableDeclaration(parent) ? parent.name.getText() : '';
}

/** Whether `node`, somewhere in `owner`, may be left out in one run of it and not in another. */
function sometimes(node, owner) {
  for (let child = node, { parent } = node; child !== owner; child = parent, { parent } = parent) {
    const branch =
      (ts.isIfStatement(parent) && child !== parent.expression) ||
      (ts.isConditionalExpression(parent) && child !== parent.condition) ||
      (ts.isBinaryExpression(parent) && child === parent.right && [ts.SyntaxKind.AmpersandAmpersandToken, ts.SyntaxKind.BarBarToken, ts.SyntaxKind.QuestionQuestionToken].includes(parent.operatorToken.kind)) ||
      ts.isIterationStatement(parent, false) ||
      ts.isCaseClause(parent) ||
      ts.isTryStatement(parent);
    if (branch) {
      return true;
    }
    if (ts.isBlock(parent) && parent === owner.body && parent.statements.slice(0, parent.statements.indexOf(child)).some(returns)) {
      return true;
    }
  }
  return false;
}

/** Whether a statement may end its function. */
function returns(node) {
  return ts.isReturnStatement(node) || (!ts.isFunctionLike(node) && ts.forEachChild(node, (child) => returns(child) || undefined) === true);
}

function lint(path) {
  const text = readFileSync(path, 'utf8');
  const name = relative(HOME, path);
  const say = (line, what) => findings.push(`web/${name}:${line}: ${what}`);

  text.split('\n').forEach((line, index) => {
    if (/\t/.test(line)) {
      say(index + 1, 'a tab');
    }
    if (/\s$/.test(line)) {
      say(index + 1, 'blanks at its end');
    }
  });
  if (!/[^\n]\n$/.test(text)) {
    say(text.split('\n').length, 'a file ends with one line end');
  }
  if (!/\.(m?[jt]sx?)$/.test(path)) {
    return;
  }

  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const at = (node) => source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  for (const { start, messageText } of source.parseDiagnostics) {
    say(source.getLineAndCharacterOfPosition(start).line + 1, ts.flattenDiagnosticMessageText(messageText, ' '));
  }
  const visit = (node, owner) => {
    if (node.kind === ts.SyntaxKind.DebuggerStatement) {
      say(at(node), 'debugger');
    }
    if (ts.isCallExpression(node)) {
      const called = node.expression.getText();
      if (called === 'console.log' && name.startsWith('src/') && !name.startsWith('src/cli/')) {
        say(at(node), 'console.log');
      }
      if (/^(it|test|describe)\.(only|skip)$/.test(called)) {
        say(at(node), `${called}: the other tests, or this one, do not run`);
      }
      if (HOOK.test(called) && name.startsWith('src/')) {
        if (owner === null || !OWNER.test(nameOf(owner))) {
          say(at(node), `${called} is called neither by a component nor by a hook`);
        } else if (sometimes(node, owner)) {
          say(at(node), `${called} is called in some runs of ${nameOf(owner)} and not in others`);
        }
      }
    }
    ts.forEachChild(node, (child) => visit(child, ts.isFunctionLike(node) ? node : owner));
  };
  visit(source, null);
}

FOLDERS.flatMap((folder) => files(join(HOME, folder)))
  .filter((path) => /\.(m?[jt]sx?|css|html|json)$/.test(path))
  .forEach(lint);
findings.forEach((finding) => console.log(finding));
process.exit(findings.length === 0 ? 0 : 1);
