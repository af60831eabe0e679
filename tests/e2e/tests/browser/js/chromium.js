// The browser of the other programs here. PROFILE names a folder for its profile.

"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const readline = require("node:readline");
const puppeteer = require("puppeteer-core");

/**
 * Gives `use` a browser, and ends with this process: 0 once that is done, 1 if it fails or stdin ends, so that neither
 * outlives who started it. The browser is in the process group as well.
 */
exports.withBrowser = (use) => {
  process.stdin.on("end", () => process.exit(1)).resume();
  run(use).then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
};

async function run(use) {
  const chromium = start(process.env.PROFILE);
  const browser = await connect(chromium);
  await use(browser);
  const ended = once(chromium, "exit");
  await browser.close();
  // The browser removes its files outside of its profile.
  await ended;
}

/**
 * Runs Chromium without the right to raise its priority, where `setpriv` can take that right from root. Chromium would come
 * before the tests beside it, which then meet their time limits.
 */
const WITHOUT_PRIORITY = `
if setpriv --bounding-set=-sys_nice true 2>/dev/null; then exec setpriv --bounding-set=-sys_nice chromium "$@"; fi
exec chromium "$@"`;

function start(profile) {
  const args = puppeteer.defaultArgs({
    headless: true,
    userDataDir: profile,
    // Tests run as root, and /dev/shm of a container is small.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-port=0"],
  });
  const chromium = spawn("sh", ["-c", WITHOUT_PRIORITY, "chromium", ...args], { stdio: ["ignore", "ignore", "pipe"] });
  process.on("exit", () => chromium.kill("SIGKILL"));
  return chromium;
}

async function connect(chromium) {
  for await (const line of readline.createInterface(chromium.stderr)) {
    const listening = line.match(/^DevTools listening on (ws:.*)$/);
    if (listening) {
      chromium.stderr.resume();
      // There is no time limit: the parent of this program ends it if it takes too long.
      return puppeteer.connect({ browserWSEndpoint: listening[1], protocolTimeout: 0 });
    }
  }
  throw new Error("chromium does not start");
}
