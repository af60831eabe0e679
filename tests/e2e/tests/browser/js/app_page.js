// The web app as a person uses it: a page with its own storage, its rows, dialogs and menus by their names for a screen
// reader, and what the browser complains about.

"use strict";

const fs = require("node:fs");
const path = require("node:path");

const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** Milliseconds that anything may take. */
const LIMIT = 60_000;

/** Milliseconds without a request after which the page counts as settled. */
const QUIET = 400;

const ROWS = "main [role=grid] [data-id]";

exports.LIMIT = LIMIT;
exports.ROWS = ROWS;

/** A page with its own storage, and what it did wrong in the words of the browser. */
class App {
  complaints = [];
  /** All requests: `url`, `type` as the browser calls it, and `bytes` as they came. */
  requests = [];

  /** The page that was opened last. */
  static latest;

  static async open(browser, { api, width = 1280, height = 800, scheme = "light", language = "en-US", path: at = "/" }) {
    const app = new App();
    App.latest = app;
    app.context = await browser.createBrowserContext();
    await app.context.overridePermissions(api, ["clipboard-read", "clipboard-write"]).catch(() => {});
    app.page = await app.context.newPage();
    app.api = api;
    app.#listen();
    const session = (app.session = await app.page.createCDPSession());
    await session.send("Emulation.setUserAgentOverride", { userAgent: await browser.userAgent(), acceptLanguage: language });
    await app.page.evaluateOnNewDocument((language) => {
      Object.defineProperty(navigator, "language", { get: () => language });
      Object.defineProperty(navigator, "languages", { get: () => [language] });
      globalThis.shift = 0;
      const sum = (list) => list.getEntries().forEach(({ value, hadRecentInput }) => (globalThis.shift += hadRecentInput ? 0 : value));
      new PerformanceObserver(sum).observe({ type: "layout-shift", buffered: true });
      globalThis.longTasks = [];
      new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => globalThis.longTasks.push(duration))).observe({ type: "longtask" });
      addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => console.error(`CSP: ${violatedDirective} ${blockedURI}`));
    }, language);
    await app.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await app.page.setViewport({ width, height, isMobile: width < 600, hasTouch: width < 600 });
    app.page.setDefaultTimeout(LIMIT);
    if (at) await app.page.goto(api + at);
    return app;
  }

  /** The requests without an answer, and when the page asked for something or got something last. */
  #open = new Set();

  #last = Date.now();

  #listen() {
    this.page.on("request", (request) => {
      // A new page ends the requests of the one before, and the browser does not say so of each.
      if (request.isNavigationRequest() && request.frame() === this.page.mainFrame()) this.#open.clear();
      this.#open.add(request);
      this.#last = Date.now();
    });
    const end = (request) => {
      this.#open.delete(request);
      this.#last = Date.now();
    };
    // The browser does not finish an answer with `no-store` that the page does not read.
    this.page.on("response", (response) => end(response.request()));
    for (const event of ["requestfinished", "requestfailed"]) this.page.on(event, end);
    this.page.on("pageerror", (error) => this.complaints.push(String(error?.message ?? error)));
    this.page.on("console", (message) => {
      // The browser writes this line for each status above 399, which a flow may expect.
      const isStatus = message.text().startsWith("Failed to load resource:");
      if (["error", "warn"].includes(message.type()) && !isStatus) this.complaints.push(message.text());
    });
    this.page.on("request", (request) => this.requests.push({ url: request.url(), method: request.method(), type: request.resourceType() }));
  }

  async signIn({ email, password }) {
    const { page } = this;
    await page.waitForSelector("input[type=email]");
    await page.type("input[type=email]", email);
    await page.type("input[type=password]", password);
    await page.keyboard.press("Enter");
    await this.listed();
  }

  listed() {
    return this.page.waitForSelector("main [role=grid], main .empty");
  }

  /** Waits until the page asks for nothing any more, and ends its animations. */
  async settled() {
    const started = Date.now();
    while (this.#open.size > 0 || Date.now() - this.#last < QUIET) {
      if (Date.now() - started > LIMIT) throw new Error(`the page does not stop asking: ${[...this.#open].map((request) => request.url())}`);
      await this.sleep(0.05);
    }
    await this.page.waitForFunction(() => !document.querySelector("[class*=skeleton]"));
    await this.page.evaluate(() => {
      const isFinite = (animation) => animation.effect?.getComputedTiming().iterations !== Infinity;
      document.getAnimations().filter(isFinite).forEach((animation) => animation.finish());
    });
  }

  go(hash) {
    return this.page.evaluate((hash) => { location.hash = hash; }, hash);
  }

  press(...keys) {
    return keys.reduce((before, key) => before.then(() => chord(this.page, key)), Promise.resolve());
  }

  /** The names of the rows that are in the page. */
  names() {
    return this.page.$$eval(`${ROWS} .file-name`, (names) => names.map((name) => name.textContent));
  }

  waitForName(name, isThere = true) {
    const hasName = (name, rows, isThere) =>
      [...document.querySelectorAll(rows)].some((row) => row.textContent.includes(name)) === isThere;
    return this.page.waitForFunction(hasName, {}, name, ROWS, isThere);
  }

  waitForText(text) {
    return this.page.waitForFunction((text) => document.body.innerText.includes(text), {}, text);
  }

  /** The control with this role and name. */
  control(role, name) {
    return this.page.waitForSelector(`::-p-aria([name="${name}"][role="${role}"])`);
  }

  async click(role, name) {
    const control = await this.control(role, name);
    // A button of a dialog or a menu may still move.
    await control.evaluate((element) => Promise.all(element.getAnimations({ subtree: true }).map((animation) => animation.finished.catch(() => {}))));
    await control.click();
  }

  async fill(role, name, text) {
    const control = await this.control(role, name);
    await control.click({ count: 3 });
    await control.type(text);
  }

  /** Presses Tab until the focus is on the control whose name contains this. */
  async tabTo(name) {
    for (let pressed = 0; pressed < 80; pressed += 1) {
      await this.press("Tab");
      if ((await this.focus()).includes(name)) return;
    }
    throw new Error(`no control ${name} is reached by Tab`);
  }

  async row(name) {
    const rows = await this.page.$$(ROWS);
    for (const row of rows) if ((await row.evaluate((row) => row.textContent)).includes(name)) return row;
    throw new Error(`no row ${name} among ${JSON.stringify(await this.names())}`);
  }

  /** The element that has the focus, as a screen reader names it. */
  focus() {
    return this.page.evaluate(() => {
      const { activeElement: active } = document;
      return `${active.getAttribute("role") ?? active.tagName.toLowerCase()} ${(active.getAttribute("aria-label") ?? active.textContent).trim().slice(0, 60)}`;
    });
  }

  text() {
    return this.page.evaluate(() => document.body.innerText);
  }

  async violations() {
    await this.page.evaluate(axe);
    return this.page.evaluate(async () =>
      (await globalThis.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 200)).join(" ")}`),
    );
  }

  overflow() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  shift() {
    return this.page.evaluate(() => globalThis.shift);
  }

  /** The connection banner, which is a live region. */
  waitForBanner() {
    return this.page.waitForFunction(() => [...document.querySelectorAll(".banner, [role=status]")].some((banner) => /connection|offline|not answer|unavailable/i.test(banner.innerText)));
  }

  /** Types the beginning of a name in a list. What is typed within 0.8 s belongs together. */
  async find(name) {
    await this.sleep(0.9);
    await this.page.keyboard.type(name);
  }

  /** Presses Ctrl and a key that is a command of the browser as well. */
  async command(key, name) {
    await this.page.keyboard.down("Control");
    await this.page.keyboard.press(key, { commands: [name] });
    await this.page.keyboard.up("Control");
  }

  sleep(seconds) {
    return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }

  /** How late a timer of the page is at most, in milliseconds, for so long. */
  latency(milliseconds) {
    return this.page.evaluate(async (milliseconds) => {
      const end = performance.now() + milliseconds;
      let most = 0;
      while (performance.now() < end) {
        const before = performance.now();
        await new Promise((resolve) => setTimeout(resolve, 10));
        most = Math.max(most, performance.now() - before - 10);
      }
      return most;
    }, milliseconds);
  }

  async picture(name) {
    if (process.env.SCREENSHOTS) await this.page.screenshot({ path: path.join(process.env.SCREENSHOTS, `app-${name}.png`) });
  }

  /** Waits until the focus is on a row again. */
  onRow() {
    return this.page.waitForFunction(() => document.activeElement.dataset.id);
  }

  /** Opens the folder of a row. */
  async enter(name) {
    await (await this.row(name)).click({ count: 2 });
    await this.page.waitForFunction((name) => document.querySelector("main h1")?.textContent === name, {}, name);
  }

  /** Drags a row onto another one. */
  async drag(name, onto) {
    const from = await (await (await this.row(name)).$(".file-name")).boundingBox();
    const to = await (await (await this.row(onto)).$(".file-name")).boundingBox();
    const { mouse } = this.page;
    const y = to.y + to.height / 2;
    await mouse.move(from.x + 10, from.y + from.height / 2);
    await mouse.down();
    await mouse.move(from.x + 30, from.y + 20, { steps: 4 });
    for (const x of [20, 22, 24, 26]) {
      await mouse.move(to.x + x, y, { steps: 4 });
      await this.sleep(0.1);
    }
    await mouse.up();
  }

  /** Drops files and folders of the disk into the page. */
  async drop(files, selector = "main") {
    const { x, y } = await this.page.$eval(selector, (element) => {
      const { left, top, width, height } = element.getBoundingClientRect();
      return { x: left + width / 2, y: top + height / 2 };
    });
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await this.session.send("Input.dispatchDragEvent", { type, x, y, data });
    }
  }

  close() {
    return this.context.close();
  }
}
exports.App = App;

/** Presses a key, with the keys before a plus sign held. */
async function chord(page, keys) {
  const [key, ...held] = keys === "+" ? ["+"] : keys.split("+").reverse();
  for (const one of held) await page.keyboard.down(one);
  await page.keyboard.press(key);
  for (const one of held) await page.keyboard.up(one);
}

exports.median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

exports.firstPaint = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const paint = () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
        const ask = () => (paint() === undefined ? setTimeout(ask, 20) : resolve(paint()));
        ask();
      }),
  );
