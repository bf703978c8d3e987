#!/usr/bin/env node
// Plain JavaScript that an old Node can still parse: it decides which Node runs lastwords, and with what. No ES module, since importing
// node:fs makes Node load all that hides behind its accessors.
"use strict";
const { existsSync, mkdirSync, statSync } = require("node:fs");
const nodeModule = require("node:module");
const { homedir } = require("node:os");
const { join } = require("node:path");

const OLDEST = 24;
const major = Number(process.versions.node.split(".")[0]);

void main();

async function main() {
  if (major < OLDEST) {
    // Distributions ship an older Node for years; the npm package `node` brings its own, which hoisting may move up.
    const own = ["../node_modules/node/bin/node", "../../node/bin/node"].map(here).find((path) => existsSync(path));
    if (own === undefined || process.env.LASTWORDS_REEXEC === "1") {
      process.stderr.write(
        `lastwords: needs Node ${OLDEST} or later, and this is ${process.version}; 'npm install node' beside lastwords also helps\n`,
      );
      process.exit(1);
    }
    reexec(own);
  } else {
    delete process.env.LASTWORDS_REEXEC;
    enableCompileCache();
    // A checkout without a build runs from its sources; Node strips the types.
    const built = here("../dist/program/main.js");
    const { run } = await import(existsSync(built) ? "../dist/program/main.js" : "../src/cli/main.ts");
    await run();
  }
}

/** @param {string} relative */
function here(relative) {
  return join(__dirname, relative);
}

/**
 * Runs the same command line with another Node and ends as that one ends. Not spawnSync: it would leave signals that
 * are sent to us alone unanswered until the child is done.
 *
 * @param {string} node
 */
function reexec(node) {
  // Loaded only here: the usual start has no need of it.
  const { spawn } = require("node:child_process");
  const child = spawn(node, [here("lastwords.js"), ...process.argv.slice(2)], {
    stdio: "inherit",
    // Should that Node be too old as well, it must say so instead of starting the next.
    env: { ...process.env, LASTWORDS_REEXEC: "1" },
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];
  for (const signal of signals) {
    // Ctrl-C reaches the child from the terminal already, and twice does no harm.
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => {
    process.stderr.write(`lastwords: cannot start ${node}: ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    for (const each of signals) process.removeAllListeners(each);
    if (signal === null) process.exit(code ?? 1);
    process.kill(process.pid, signal);
  });
}

/**
 * Keeps compiled code between runs. Compiled code is trusted like the program itself, so a folder that belongs to
 * somebody else (root under sudo with the user's HOME) is not used.
 */
function enableCompileCache() {
  try {
    const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "lastwords", "code");
    mkdirSync(cache, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(cache);
    if (uid === process.geteuid() && (mode & 0o022) === 0) nodeModule.enableCompileCache(cache);
  } catch {
    // A read-only or missing home: lastwords starts a little slower.
  }
}
