// Flows of the web app in a real browser. The argument is `{flow, api, email, password, …}`; the flow of that name is run, and
// its findings are printed as one line of JSON.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { gzipSync } = require("node:zlib");
const { withBrowser } = require("./chromium");
const { App, ROWS, firstPaint, median } = require("./app_page");

const flows = {};

/** The kilobytes, as gzip makes them, of what the page loads at first, of the uploads, and of all but PDF and languages. */
flows.sizes = async (_, { dist }) => {
  const text = (file) => fs.readFileSync(path.join(dist, file), "utf8");
  const imports = (file) => [...text(file).matchAll(/(?:from|import)"(?:\.|\/app)\/([^"]+\.js)"/g)].map(([, found]) => found);
  const withImports = (files, without = new Set()) => {
    const found = new Set();
    const visit = (file) => !found.has(file) && !without.has(file) && (found.add(file), imports(file).forEach(visit));
    files.forEach(visit);
    return found;
  };
  const size = (files) => [...files].reduce((sum, file) => sum + gzipSync(text(file), { level: 9 }).length, 0) / 1000;
  const all = fs.readdirSync(dist).filter((file) => file.endsWith(".js"));
  const page = text("index.html");
  const first = withImports([...page.matchAll(/ src="\/app\/([^"]+\.js)"/g)].map(([, file]) => file));
  // Whoever uploads has signed in, so the parts that follow the first script are there.
  const loaded = new Set([...first, ...withImports(all.filter((file) => file.startsWith("parts-")), first)]);
  const isLanguage = (file) => /^(ar|de|es|fr|ja|pt|zh)-/.test(file);
  return {
    script: size(first),
    style: size([...page.matchAll(/\/app\/([^"]+\.css)"/g)].map(([, file]) => file)),
    uploads: size(withImports(all.filter((file) => /^(tray|queue)-/.test(file)), loaded)),
    all: size(all.filter((file) => !file.startsWith("pdf") && !isLanguage(file))),
  };
};

/** How much and how fast the page loads: for the first time on a slow network, and again on this machine. */
flows.load = async (browser, argument) => {
  const cold = [];
  for (let time = 0; time < 3; time += 1) cold.push(await firstVisit(browser, argument));
  const app = await App.open(browser, argument);
  await app.signIn(argument);
  await app.page.waitForSelector(ROWS);
  await app.settled();
  const warm = [];
  for (let time = 0; time < 5; time += 1) warm.push(await laterVisit(app));
  const before = await answersBeforeList(app);
  await app.close();
  const middle = (visits, key) => median(visits.map((visit) => visit[key]));
  const shift = Math.max(...[...cold, ...warm].map((visit) => visit.shift));
  const { requests, bytes } = cold[0];
  return {
    cold: { paint: middle(cold, "paint"), blocked: middle(cold, "blocked"), requests, bytes },
    warm: { paint: middle(warm, "paint"), before },
    shift,
    complaints: app.complaints,
  };
};

/** A visit as Lighthouse simulates one: slow 4G, and a quarter of the processor. */
async function firstVisit(browser, argument) {
  const app = await App.open(browser, { ...argument, path: null });
  await app.session.send("Network.enable");
  let bytes = 0;
  app.session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  const network = { offline: false, latency: 150, downloadThroughput: 204_800, uploadThroughput: 96_000 };
  await app.session.send("Network.emulateNetworkConditions", network);
  await app.session.send("Emulation.setCPUThrottlingRate", { rate: 4 });
  await app.page.goto(argument.api);
  await app.page.waitForSelector("input[type=email]");
  await app.settled();
  const tasks = await app.page.evaluate(() => globalThis.longTasks);
  const blocked = tasks.reduce((sum, task) => sum + Math.max(0, task - 50), 0);
  const visit = { paint: await firstPaint(app.page), blocked, requests: app.requests.map(({ url }) => url.slice(argument.api.length)), bytes, shift: await app.shift() };
  await app.close();
  return visit;
}

async function laterVisit(app) {
  await app.page.reload();
  await app.page.waitForSelector(ROWS);
  await app.settled();
  return { paint: await firstPaint(app.page), shift: await app.shift() };
}

/** The paths of functions that have answered before a later visit shows the list. All but the page wait for the list. */
async function answersBeforeList(app) {
  const answered = [];
  let show;
  const isShown = new Promise((resolve) => { show = resolve; });
  const onRequest = async (request) => {
    const { pathname } = new URL(request.url());
    if (request.isNavigationRequest()) answered.push(pathname);
    else if (!pathname.startsWith("/app/")) await isShown;
    await request.continue().catch(() => {});
  };
  await app.page.setRequestInterception(true);
  app.page.on("request", onRequest);
  await app.page.reload({ waitUntil: "domcontentloaded" });
  await app.page.waitForSelector(ROWS);
  show();
  await app.settled();
  await app.page.setRequestInterception(false);
  app.page.off("request", onRequest);
  return answered;
}

/** Visits each screen and opens each dialog, in each of `windows`: `[width, height, scheme, language]`. */
flows.screens = async (browser, argument) => {
  const found = [];
  for (const window of argument.windows) found.push(...(await screensIn(browser, argument, window)));
  return found;
};

async function screensIn(browser, { folder, image, text, ...argument }, [width, height, scheme, language]) {
  const app = await App.open(browser, { ...argument, width, height, scheme, language });
  const found = [];
  const look = async (screen) => {
    const name = `${screen}-${width}-${scheme}-${language.slice(0, 2)}`;
    await app.settled();
    await app.picture(name);
    found.push({ name, violations: await app.violations(), overflow: await app.overflow() });
  };
  const show = async (screen, hash, selector) => {
    await app.go(hash);
    if (selector) await app.page.waitForSelector(selector);
    await look(screen);
  };
  await app.page.waitForSelector("input[type=email]");
  await look("sign-in");
  await app.signIn(argument);
  await show("files", "#/files", ROWS);
  await show("folder", `#/files/${folder}`, ROWS);
  await show("picture", `#/view/${image}`, ".viewer");
  await app.press("Escape");
  await show("text", `#/view/${text}`, ".viewer");
  await app.press("Escape");
  for (const screen of ["trash", "links", "account", "search?q=photo"]) await show(screen.split("?")[0], `#/${screen}`, "main h1");
  await dialogs(app, look, width);
  found.push({ name: "browser", violations: app.complaints, overflow: 0 });
  await app.close();
  return found;
}

/** The dialogs that the first row of the root opens, by keyboard. */
async function dialogs(app, look, width) {
  await app.go("#/files");
  await app.page.waitForSelector(ROWS);
  const menu = async () => {
    await app.page.focus(ROWS);
    await app.press("ArrowDown", "Shift+F10");
    await app.page.waitForSelector("[role=menu] [role=menuitem]");
  };
  await menu();
  await look("menu");
  await app.press("Escape");
  await app.page.focus(ROWS);
  await app.press("?");
  await app.page.waitForSelector("dialog[open]");
  await look("help");
  await app.press("Escape");
  for (const icon of width < 600 ? [] : ["share", "move", "rename"]) {
    await app.page.click(`.toolbar .act-${icon}`);
    await app.page.waitForSelector(icon === "rename" ? ".name-field" : "dialog[open]");
    await look(icon);
    await app.press("Escape");
  }
}

/** Everything by keyboard alone. */
flows.keyboard = async (browser, argument) => {
  const app = await App.open(browser, argument);
  const focus = {};
  await app.page.waitForSelector("input[type=email]");
  await app.tabTo("E-mail").catch(() => app.page.focus("input[type=email]"));
  await app.page.keyboard.type(argument.email);
  await app.press("Tab");
  await app.page.keyboard.type(argument.password);
  await app.press("Enter");
  await app.page.waitForSelector(ROWS);
  await newFolder(app, "Keyboard");
  focus.afterNew = await app.focus();
  await app.press("Delete");
  await app.waitForName("Keyboard", false);
  await app.tabTo("Undo");
  await app.press("Enter");
  await app.waitForName("Keyboard");
  await app.page.focus(ROWS);
  await app.find("key");
  await app.press("F2");
  await app.page.waitForSelector(".name-field");
  await app.page.keyboard.type("Renamed");
  await app.press("Enter");
  await app.waitForName("Renamed");
  focus.afterRename = await app.focus();
  await app.press("Home");
  focus.home = await app.focus();
  await app.press("End");
  focus.end = await app.focus();
  await app.find("ren");
  focus.typed = await app.focus();
  await app.press("Shift+F10");
  await app.page.waitForSelector("[role=menu]");
  await app.press("Escape");
  focus.afterMenu = await app.focus();
  await app.press("?");
  await app.page.waitForSelector("dialog[open]");
  await app.press("Escape");
  focus.afterHelp = await app.focus();
  await clipboardByKeys(app);
  await viewByKeys(app, focus);
  const { complaints } = app;
  await app.close();
  return { focus, complaints };
};

async function newFolder(app, name) {
  await app.tabTo("New");
  await app.press("Enter");
  await app.page.waitForSelector("[role=menu]");
  await app.press("Enter");
  await app.page.waitForSelector("dialog[open] input");
  await app.press("Control+a");
  await app.page.keyboard.type(name);
  await app.press("Enter");
  await app.waitForName(name);
  await app.page.waitForSelector("dialog[open]", { hidden: true });
}

/** Cuts the first file, and pastes it into the folder. */
async function clipboardByKeys(app) {
  await app.page.focus(ROWS);
  await app.press("Home");
  await app.find("notes");
  await app.command("x", "Cut");
  await app.find("ren");
  await app.press("Enter");
  await app.page.waitForSelector("main .empty");
  await app.command("v", "Paste");
  await app.waitForName("notes.txt");
  await app.page.focus(ROWS);
  await app.command("a", "SelectAll");
  await app.waitForText("1 selected");
  await app.press("Escape", "Backspace");
  await app.waitForName("Renamed");
}

/** Opens a picture, goes on to the next, and comes back. */
async function viewByKeys(app, focus) {
  await app.page.focus(ROWS);
  await app.find("photo-1");
  await app.press("Enter");
  await app.page.waitForSelector(".viewer");
  await app.press("ArrowRight");
  await app.page.waitForFunction(() => document.querySelector(".viewer")?.textContent.includes("photo-2"));
  await app.press("Escape");
  await app.page.waitForSelector(".viewer", { hidden: true });
  await app.onRow();
  focus.afterView = await app.focus();
  await app.press("/");
  await app.page.keyboard.type("photo-2");
  await app.page.waitForFunction(() => location.hash.startsWith("#/search"));
  await app.waitForName("photo-2");
  await app.press("Escape");
  await app.waitForName("Renamed");
}

/** How a folder with thousands of documents opens and scrolls. */
flows.many = async (browser, { folder, ...argument }) => {
  const app = await App.open(browser, argument);
  await app.signIn(argument);
  await app.page.evaluate((rows) => {
    new PerformanceObserver((list) => {
      const isListing = ({ name }) => name.includes("/files?parentId=") && !name.includes("parentId=0");
      const answer = list.getEntries().find(isListing);
      if (answer) globalThis.answered ??= answer.responseEnd;
    }).observe({ type: "resource" });
    const look = () => {
      if (globalThis.answered && document.querySelectorAll(rows).length > 10) globalThis.shown = performance.now();
      else requestAnimationFrame(look);
    };
    look();
  }, ROWS);
  await app.go(`#/files/${folder}`);
  await app.page.waitForFunction(() => globalThis.shown);
  const shown = await app.page.evaluate(() => globalThis.shown - globalThis.answered);
  const frames = await app.page.evaluate(scroll, ROWS);
  await app.page.focus(ROWS);
  // Each press goes to the end of what has been read, and more is read then.
  for (let pressed = 0; pressed < 20 && !(await app.focus()).includes("9999.txt"); pressed += 1) {
    await app.press("End");
    await app.settled();
  }
  const { complaints } = app;
  const found = { shown, ...frames, last: await app.focus() };
  await app.close();
  return { ...found, complaints };
};

/** Scrolls for two seconds. Runs in the page. */
async function scroll(rows) {
  const box = document.querySelector("main [role=grid]");
  const frames = [];
  let most = 0;
  let last = performance.now();
  for (let frame = 0; frame < 120; frame += 1) {
    box.scrollTop += 500;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
    most = Math.max(most, document.querySelectorAll(rows).length);
  }
  frames.sort((a, b) => a - b);
  return { frame: frames[Math.floor(frames.length * 0.95)], most };
}

/** Drops `folders` folders with `files` files each, reloads in the middle, and waits for the end. */
flows.dropped = async (browser, { folders, files, ...argument }) => {
  const root = path.join(process.env.PROFILE, "dropped");
  for (let folder = 0; folder < folders; folder += 1) {
    const inner = path.join(root, `group ${folder % 10}`, `folder ${folder}`);
    fs.mkdirSync(inner, { recursive: true });
    for (let file = 0; file < files; file += 1) fs.writeFileSync(path.join(inner, `file ${file}.txt`), `content ${folder} ${file}`);
  }
  const app = await App.open(browser, argument);
  await app.signIn(argument);
  const started = Date.now();
  await app.drop([root]);
  const late = await app.latency(2000);
  const isDone = (share) => app.page.waitForFunction((share) => Number(document.querySelector(".tray [role=progressbar]")?.ariaValueNow) >= share, { timeout: 0, polling: 200 }, share);
  await isDone(40);
  app.page.once("dialog", (dialog) => dialog.accept());
  await app.page.reload();
  await isDone(100);
  const took = (Date.now() - started) / 1000;
  const { complaints } = app;
  await app.close();
  return { late, took, complaints };
};

/** Goes on through `seconds` without a network, and then with a service that is unavailable. */
flows.outage = async (browser, { seconds, file, ...argument }) => {
  const app = await App.open(browser, argument);
  await app.signIn(argument);
  await app.click("button", "New");
  await app.click("menuitem", "New folder");
  await app.fill("textbox", "Name", "Typed before the outage");
  await app.page.setOfflineMode(true);
  await app.press("Enter");
  await app.waitForBanner();
  await app.sleep(seconds);
  const typed = await app.page.$eval("dialog[open] input", (input) => input.value).catch(() => "");
  await app.page.setOfflineMode(false);
  await app.page.waitForSelector("dialog[open]", { hidden: true, timeout: 15_000 }).catch(() => app.press("Enter"));
  await app.waitForName("Typed before the outage");
  await app.page.setOfflineMode(true);
  await app.drop([file]);
  await app.sleep(seconds / 5);
  await app.page.setOfflineMode(false);
  await app.waitForName(path.basename(file));
  const unavailable = await withoutService(app, seconds / 5);
  const { complaints } = app;
  await app.close();
  return { typed, unavailable, complaints: complaints.filter((text) => !text.includes("ERR_INTERNET_DISCONNECTED")) };
};

/** Answers 503 in the place of the API, while a listing is asked for. */
async function withoutService(app, seconds) {
  let isUnavailable = true;
  await app.page.setRequestInterception(true);
  const answer = { status: 503, headers: { "Retry-After": "1" }, contentType: "application/json", body: '{"error":"Service unavailable"}' };
  app.page.on("request", (request) => {
    const isAnswered = isUnavailable && request.url().includes("/files?");
    // A request that is met while the interception ends, or while the page closes, needs no answer of this test.
    (isAnswered ? request.respond(answer) : request.continue()).catch(() => {});
  });
  await app.go("#/trash");
  await app.go("#/files");
  await app.page.reload();
  await app.waitForBanner();
  await app.sleep(seconds);
  isUnavailable = false;
  await app.page.waitForSelector(ROWS);
  await app.page.setRequestInterception(false);
  return true;
}

/** Opens uploads that try to act. */
flows.active = async (browser, { files, ...argument }) => {
  const app = await App.open(browser, argument);
  await app.signIn(argument);
  const seen = [];
  for (const file of files) {
    await app.go(`#/view/${file}`);
    await app.page.waitForSelector(".viewer");
    await app.settled();
    seen.push(await app.page.evaluate(() => ({ acted: globalThis.acted ?? document.title === "acted", text: document.querySelector(".viewer").innerText.slice(0, 200) })));
    await app.press("Escape");
    await app.page.waitForSelector(".viewer", { hidden: true });
  }
  const { complaints } = app;
  await app.close();
  return { seen, complaints };
};

/** What a new user does with a folder of photographs: the seconds of each step. */
flows.journey = async (browser, { photos, newEmail, password, ...argument }) => {
  const app = await App.open(browser, argument);
  const seconds = {};
  const step = async (name, take) => {
    const started = Date.now();
    const result = await take();
    seconds[name] = (Date.now() - started) / 1000;
    return result;
  };
  await step("sign up", async () => {
    await app.click("tab", "Create account");
    await app.page.type("input[type=email]", newEmail);
    await app.page.type("input[type=password]", password);
    await app.press("Enter");
    await app.page.waitForSelector("main .empty");
  });
  const name = path.basename(photos);
  await step("drop a folder of photographs", async () => {
    await app.drop([photos]);
    await app.waitForName(name);
    await app.enter(name);
    await app.waitForName("photo 6.jpg");
  });
  await step("thumbnails appear by themselves", () => app.page.waitForFunction(thumbnailsAreThere, {}, ROWS, 6));
  await step("rename", async () => {
    await (await app.row("photo 1.jpg")).click();
    await app.press("F2");
    await app.page.waitForSelector(".name-field");
    await app.page.keyboard.type("Best");
    await app.press("Enter");
    await app.waitForName("Best.jpg");
  });
  await step("move by drag", async () => {
    await app.click("button", "New");
    await app.click("menuitem", "New folder");
    await app.fill("textbox", "Name", "Chosen");
    await app.press("Enter");
    await app.waitForName("Chosen");
    await app.drag("Best.jpg", "Chosen");
    await app.waitForName("Best.jpg", false);
  });
  const link = await step("share with a password", () => share(app, name, "open sesame"));
  await step("open the link in a private window", () => visit(browser, link, "open sesame"));
  const request = await step("request files", () => requestFiles(app));
  await step("send a file as a visitor", () => send(browser, request, path.join(photos, "photo 2.jpg")));
  await step("restore from the trash", () => restore(app, name));
  const { complaints } = app;
  await app.close();
  return { seconds, complaints };
};

/** Runs in the page. */
function thumbnailsAreThere(rows, count) {
  const pictures = [...document.querySelectorAll(`${rows} img`)];
  return pictures.filter((picture) => picture.complete && picture.naturalWidth > 0).length >= count;
}

/** Shares the folder that is shown, and returns the address of the link. */
async function share(app, name, password) {
  await app.page.click("main [aria-current=page]");
  await app.click("menuitem", "Share…");
  await app.page.waitForSelector("dialog[open]");
  await app.page.click("dialog summary");
  await app.fill("textbox", "Password", password);
  await app.page.click("dialog .button.primary");
  return newLink(app);
}

/** The address of the link that the dialog has made. */
async function newLink(app) {
  await app.waitForText("The link is ready");
  const link = await (await app.control("textbox", "Address of the link")).evaluate((field) => field.value);
  await app.press("Escape");
  return link;
}

async function visit(browser, link, password) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.goto(link);
  await page.type("input[type=password]", password);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  await page.waitForFunction(() => document.body.innerText.includes("photo 2.jpg"));
  await context.close();
}

async function requestFiles(app) {
  await app.page.click("main [aria-current=page]");
  await app.click("menuitem", "Request files…");
  await app.page.waitForSelector("dialog[open]");
  await app.page.click("dialog .button.primary");
  return newLink(app);
}

/** Sends a file by the form, as a visitor without JavaScript does. */
async function send(browser, link, file) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setJavaScriptEnabled(false);
  await page.goto(link);
  await (await page.$("input[type=file]")).uploadFile(file);
  await Promise.all([page.waitForNavigation(), page.click("form [type=submit], form button")]);
  await context.close();
}

async function restore(app, name) {
  await app.go("#/files");
  await app.waitForName(name);
  await (await app.row(name)).click();
  await app.press("Delete");
  await app.waitForName(name, false);
  await app.go("#/trash");
  await app.waitForName(name);
  await (await app.row(name)).click();
  await app.page.click(".toolbar .act-restore");
  await app.waitForName(name, false);
  await app.go("#/files");
  await app.waitForName(name);
}

if (require.main === module) {
  withBrowser(async (browser) => {
    const { flow, ...argument } = JSON.parse(process.argv[2]);
    try {
      console.log(JSON.stringify(await flows[flow](browser, argument)));
    } catch (error) {
      // The page as it is tells more than the step that failed.
      const app = App.latest;
      await app.picture(`failed-${flow}`).catch(() => {});
      const seen = [`focus: ${await app.focus()}`, await app.text(), ...app.complaints].join("\n");
      throw new Error(`${flow}, on ${app.page.url()}\n${seen}`, { cause: error });
    }
  });
}
