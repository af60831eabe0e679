// Visits pages of links in a real browser, one after another, and prints for each a line of JSON. The argument is a JSON
// array; a visit is a `url`, and if wanted `width`, `scheme` (of colors), `script: false` (no JavaScript), `steps`, and
// `picture` (the name of a screenshot, which is kept if SCREENSHOTS names a folder). A step is `{fill, text}`,
// `{choose, files}`, `{click}`, `{wait}`, `{press}` or `{download}`.

"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { withBrowser } = require("./chromium");

const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** Milliseconds that anything may take. */
const LIMIT = 30_000;

const steps = {
  fill: (page, { fill, text }) => page.type(fill, text),
  choose: async (page, { choose, files }) => (await page.$(choose)).uploadFile(...files),
  wait: (page, { wait }) => page.waitForSelector(wait, { timeout: LIMIT }),
  press: (page, { press }) => page.keyboard.press(press),
  /** The page that a click leads to is loaded then; a click that leads nowhere has `stays`. */
  click: async (page, { click, stays }) => {
    const loaded = stays ? null : page.waitForNavigation({ timeout: LIMIT });
    await page.click(click);
    return (await loaded)?.status();
  },
  download: async (page, { download }) => {
    const downloadPath = path.join(process.env.PROFILE, crypto.randomUUID());
    const session = await page.browser().target().createCDPSession();
    const browserContextId = page.browserContext().id;
    const behavior = { behavior: "allow", downloadPath, eventsEnabled: true, browserContextId };
    await session.send("Browser.setDownloadBehavior", behavior);
    const done = new Promise((resolve, reject) => {
      session.on("Browser.downloadProgress", ({ state }) => {
        if (state === "completed") resolve();
        if (state === "canceled") reject(new Error("the download was canceled"));
      });
    });
    await page.click(download);
    await done;
    const [name] = fs.readdirSync(downloadPath);
    const bytes = fs.readFileSync(path.join(downloadPath, name));
    return { name, sha256: crypto.createHash("sha256").update(bytes).digest("hex") };
  },
};

/** What the page did wrong, in the words of the browser: a violation of the policy, an error, a request that failed. */
function complaintsOf(page) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error?.message ?? error)));
  page.on("requestfailed", (request) => {
    // The browser ends the request of a page that becomes a download.
    if (!request.isNavigationRequest()) complaints.push(`${request.url()}: ${request.failure().errorText}`);
  });
  page.on("console", (message) => {
    // The browser writes this line for each status above 399, which a visit may expect.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of 4");
    // Uppy writes a line for each upload that is refused, and shows it in the page.
    const isShown = message.text().startsWith("[Uppy]");
    if (["error", "warn"].includes(message.type()) && !isStatus && !isShown) complaints.push(message.text());
  });
  return complaints;
}

async function visit({ url, width = 1280, scheme = "light", script = true, steps: wanted = [], picture }, browser) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const complaints = complaintsOf(page);
  const urls = [];
  page.on("request", (request) => urls.push(request.url()));
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setViewport({ width, height: 800 });
  await page.setJavaScriptEnabled(script);
  await page.evaluateOnNewDocument(() => {
    globalThis.shift = 0;
    const sum = (list) => list.getEntries().forEach(({ value, hadRecentInput }) => (globalThis.shift += hadRecentInput ? 0 : value));
    new PerformanceObserver(sum).observe({ type: "layout-shift", buffered: true });
  });
  let status = (await page.goto(url, { timeout: LIMIT })).status();
  const results = [];
  for (const step of wanted) {
    const [verb] = Object.keys(step).filter((key) => key in steps);
    const result = await steps[verb](page, step);
    if (verb === "click") status = result ?? status;
    results.push(verb === "download" ? result : null);
  }
  await page.waitForNetworkIdle({ timeout: LIMIT });
  if (picture && process.env.SCREENSHOTS) {
    await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${picture}.png`), fullPage: true });
  }
  // Without timers axe does not end. The scripts of the page do not run any more, and what its styles hide from a browser
  // with JavaScript is shown again.
  await page.setJavaScriptEnabled(true);
  await page.evaluate(() => document.getAnimations().forEach((animation) => animation.finish()));
  const seen = await page.evaluate(() => ({
    title: document.title,
    text: document.body.innerText,
    names: [...document.querySelectorAll(".entries .name")].map((name) => name.textContent),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    broken: [...document.images].filter((image) => image.complete && !image.naturalWidth).map((image) => image.src),
    shift: globalThis.shift ?? 0,
    readableCookies: document.cookie,
  }));
  await page.evaluate(axe);
  const violations = await page.evaluate(async () =>
    (await globalThis.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`),
  );
  const cookies = await context.cookies();
  await context.close();
  return { status, ...seen, results, violations, complaints, urls, cookies };
}

withBrowser(async (browser) => {
  for (const wanted of JSON.parse(process.argv[2])) {
    console.log(JSON.stringify(await visit(wanted, browser)));
  }
});
