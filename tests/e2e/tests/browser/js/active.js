// Uploads active content, opens it in every way that a page has, and prints one line of JSON with the content that was
// executed. The argument is JSON with `api`, the `token` of a user, and `s3`. NODE_PATH names the packages.
//
// Then the same contents are opened on a server of this program that restricts nothing: the content that is executed there
// proves that this program notices it.

"use strict";

const http = require("node:http");
const { withBrowser } = require("./chromium");
const { contents } = require("./contents");

/** The largest that comes through a function, in bytes. Of what is larger S3 answers. */
const INLINE = 4 * 2 ** 20;

/** Milliseconds. */
const LIMIT = 20_000;

/** The browser's viewer of PDFs is an extension of its own. */
const VIEWER = "chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai/";

/** Everything that acts says so to one of these, or where `Tab` looks for it. */
const acts = new Map();

function acted(report) {
  // Other messages there are not from our content.
  if (String(report).startsWith('{"mark":')) {
    acts.set(report, JSON.parse(report));
  }
}

/** A server that adds no header. It has a page for each list of addresses, and is told when something acts. */
class Elsewhere {
  #files = new Map();
  #pages = [];

  async listen() {
    const server = http.createServer((request, response) => this.#answer(request, response));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address();
    // For the browser this is another site than the API's 127.0.0.1.
    this.origin = `http://localhost:${port}`;
  }

  add(path, type, text) {
    this.#files.set(path, { type, text });
    return `${this.origin}${path}`;
  }

  /** A page that has each of these addresses in it in every way. */
  embedding(urls) {
    const tags = urls.map(
      (url) =>
        `<iframe src="${url}"></iframe><object data="${url}"></object><embed src="${url}">` +
        `<img src="${url}"><script src="${url}"></script>`,
    );
    const report = `onmessage = ({ data }) => navigator.sendBeacon("/acted", data);`;
    this.#pages.push(`<!doctype html><script>${report}</script>${tags.join("\n")}`);
    return `${this.origin}/pages/${this.#pages.length - 1}`;
  }

  #answer(request, response) {
    const { pathname, search } = new URL(request.url, this.origin);
    const page = pathname.match(/^\/pages\/(\d+)$/);
    if (pathname === "/acted") {
      acted(decodeURIComponent(search.slice(1)));
      let body = "";
      request.on("data", (some) => (body += some)).on("end", () => acted(body));
      response.writeHead(204).end();
    } else if (page) {
      response.writeHead(200, { "Content-Type": "text/html" }).end(this.#pages[page[1]]);
    } else if (this.#files.has(pathname)) {
      const { type, text } = this.#files.get(pathname);
      response.writeHead(200, { "Content-Type": type }).end(text);
    } else {
      // With an empty body the browser would show a page of its own.
      response.writeHead(404, { "Content-Type": "text/plain" }).end("not here");
    }
  }
}

/** A file of the user that everybody may read: through a function, or large and through S3. */
async function upload({ api, token }, name, text) {
  const ask = async (method, path, body) => {
    const headers = { "Content-Type": "application/json", "X-Token": token };
    const response = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) });
    if (!response.ok) {
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    }
    return response.json();
  };
  const bytes = Buffer.from(text, "latin1");
  const file = { name, type: "file", isPublic: true };
  if (bytes.length <= INLINE) {
    return (await ask("POST", "/files", { ...file, data: bytes.toString("base64") })).id;
  }
  const begun = await ask("POST", "/files", { ...file, size: bytes.length });
  const put = await fetch(begun.upload.url, { method: "PUT", headers: begun.upload.headers, body: bytes });
  if (!put.ok) {
    throw new Error(`S3 does not take ${name}: ${put.status}`);
  }
  return (await ask("POST", `/files/${begun.id}/complete`)).id;
}

async function uploadAll(to, elsewhere) {
  const files = [];
  const add = async (content, text, name, through) => {
    const mark = `${content} as ${name} through ${through}`;
    const padding = through === "s3" ? " ".repeat(INLINE) : "";
    const id = await upload(to, name, text(mark, elsewhere.origin, padding));
    files.push({ id, content, name, through, mark, url: `${to.api}/files/${id}/data` });
  };
  for (const [content, { names, large, text }] of Object.entries(contents)) {
    for (const name of names) {
      await add(content, text, name, "function");
    }
    for (const name of large) {
      await add(content, text, name, "s3");
    }
  }
  return files;
}

/** Opens an address as somebody does who clicks on it. */
async function open(browser, url) {
  const page = await browser.newPage();
  page.on("console", (message) => acted(message.text()));
  page.on("dialog", (dialog) => {
    acted(JSON.stringify({ mark: dialog.message(), origin: new URL(url).origin, effect: "dialog" }));
    dialog.dismiss();
  });
  // A download ends the navigation.
  const shown = await page.goto(url, { timeout: 0 }).then(
    () => true,
    (error) => !/ERR_ABORTED/.test(error.message) && Promise.reject(error),
  );
  acted(await page.title());
  acted(await page.evaluate(() => window.name));
  return { page, shown };
}

/**
 * Opens each by itself, then all in a page of somebody else, and then each in a window of such a page. Says of each
 * whether it was shown, and not saved.
 */
async function openAll(browser, elsewhere, files) {
  const opened = await Promise.all(
    files.map(async (file) => {
      const { shown } = await open(browser, file.url);
      return { ...file, shown };
    }),
  );
  const urls = files.map(({ url }) => url);
  await open(browser, elsewhere.embedding(urls));
  const { page: opener } = await open(browser, elsewhere.embedding([]));
  await opener.evaluate((urls) => urls.forEach((url) => window.open(url)), urls);
  // The window has loaded, or has closed because its content was saved.
  await until(async () => {
    const windows = browser.targets().filter((target) => target.opener() === opener.target());
    return windows.every((target) => !["", "about:blank"].includes(target.url()));
  });
  return opened;
}

/** What an origin was made to keep. */
async function kept(browser, origin) {
  const { page } = await open(browser, `${origin}/status`);
  const [storage, cookies] = await page.evaluate(() => [Object.keys(localStorage), document.cookie.split("; ")]);
  storage.forEach(acted);
  cookies.forEach((cookie) => acted(decodeURIComponent(cookie.split("=")[0])));
}

async function until(done) {
  const deadline = Date.now() + LIMIT;
  while (!(await done()) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function viewers(browser) {
  return browser.targets().filter((target) => target.url().startsWith(VIEWER)).length;
}

withBrowser(async (browser) => {
  const { api, token, s3 } = JSON.parse(process.argv[2]);
  const elsewhere = new Elsewhere();
  await elsewhere.listen();
  const session = await browser.target().createCDPSession();
  await session.send("Browser.setDownloadBehavior", { behavior: "deny" });

  const files = await uploadAll({ api, token }, elsewhere);
  const opened = await openAll(browser, elsewhere, files);
  const viewersOfFiles = viewers(browser);

  const controls = Object.entries(contents).map(([content, { type, text }]) => {
    const mark = `${content} of nobody`;
    return { mark, url: elsewhere.add(`/${content}`, type, text(mark, elsewhere.origin, "")) };
  });
  await openAll(browser, elsewhere, controls);
  const effects = (mark) => [...acts.values()].filter((act) => act.mark === mark).length;
  await until(async () => viewers(browser) > viewersOfFiles && controls.every(({ mark }) => effects(mark) > 0));
  for (const origin of [api, s3, elsewhere.origin]) {
    await kept(browser, origin);
  }

  const outcome = {
    elsewhere: elsewhere.origin,
    files: opened,
    acts: [...acts.values()],
    viewers: viewersOfFiles,
    viewersOfControls: viewers(browser) - viewersOfFiles,
  };
  console.log(JSON.stringify(outcome));
});
