// A headless Chromium with a profile in the folder that PROFILE names.
//
// The program ends when its stdin does, so that it does not outlive who started it, and takes the browser with it; the
// browser is in its process group as well.

"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const readline = require("node:readline");
const puppeteer = require("puppeteer-core");

function start(profile) {
  const args = puppeteer.defaultArgs({
    headless: true,
    userDataDir: profile,
    // Tests run as root, and /dev/shm of a container is small.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-port=0"],
  });
  const chromium = spawn("chromium", args, { stdio: ["ignore", "ignore", "pipe"] });
  process.on("exit", () => chromium.kill("SIGKILL"));
  return chromium;
}

async function connect(chromium) {
  for await (const line of readline.createInterface(chromium.stderr)) {
    const listening = line.match(/^DevTools listening on (ws:.*)$/);
    if (listening) {
      chromium.stderr.resume();
      // An upload takes as long as it takes; whoever started this program ends it if that is too long.
      return puppeteer.connect({ browserWSEndpoint: listening[1], protocolTimeout: 0 });
    }
  }
  throw new Error("chromium does not start");
}

/** Does something with the browser, and ends the program. */
exports.use = (task) => {
  const done = async () => {
    const chromium = start(process.env.PROFILE);
    const browser = await connect(chromium);
    await task(browser);
    const ended = once(chromium, "exit");
    await browser.close();
    // It removes what it keeps outside of its profile.
    await ended;
  };
  process.stdin.on("end", () => process.exit(1)).resume();
  done().then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
};
