// Uploads files with stock Uppy in a real browser, one after another, and prints for each a line of JSON: its outcome and
// all requests. The argument is a JSON array; a file is `major` of Uppy, `api` (its origin is the API's,
// any other S3's), `name`, `type`, `size`, and `endpoint` or `sign: {url, token}`; if wanted `multipart`, and `atHalf`:
// `pause` (to go on when all is quiet) or `cancel`. NODE_PATH names the packages.

"use strict";

const http = require("node:http");
const path = require("node:path");
const esbuild = require("esbuild");
const { withBrowser } = require("./chromium");

/** Milliseconds without a request, after which none is expected any more. */
const QUIET = 700;

/** The page and its script, which is bundled for one major. */
function script(major) {
  const packages = path.resolve(process.env.NODE_PATH);
  const { outputFiles } = esbuild.buildSync({
    entryPoints: [path.join(__dirname, "page.js")],
    absWorkingDir: path.dirname(packages),
    alias: { "@uppy/core": `uppy-core-${major}`, "@uppy/aws-s3": `uppy-aws-s3-${major}` },
    nodePaths: [packages],
    bundle: true,
    write: false,
  });
  return outputFiles[0].contents;
}

/** Serves the page from an origin of its own, and gives that back. */
function serve(script) {
  const server = http.createServer((request, response) => {
    const html = request.url === "/";
    response.writeHead(200, { "Content-Type": html ? "text/html" : "text/javascript" });
    response.end(html ? '<!doctype html><meta charset="utf-8"><script src="/page.js"></script>' : script);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

/** What the page asks of the API and of S3. Preflights are the browser's, and on AWS the gateway's to answer. */
class Network {
  #requests = new Map();
  #last = Date.now();

  #own;

  /** The page's own requests to `own` do not count. */
  static async of(page, own) {
    const network = new Network();
    network.#own = own;
    const session = await page.createCDPSession();
    const on = (event, note) => {
      session.on(`Network.${event}`, (params) => {
        network.#last = Date.now();
        note(network.#request(params.requestId), params);
      });
    };
    on("requestWillBeSent", (request, params) => {
      Object.assign(request, { method: params.request.method, url: params.request.url });
    });
    // Only this event has the length of a body that is a Blob.
    on("requestWillBeSentExtraInfo", (request, { headers }) => {
      const length = Object.entries(headers).find(([name]) => name.toLowerCase() === "content-length");
      request.sent = Number(length?.[1] ?? 0);
    });
    on("responseReceived", (request, { response }) => {
      request.status = response.status;
      // The browser does not finish loading an answer with `no-store` that the page does not read.
      request.over = true;
    });
    on("loadingFinished", (request, { requestId }) => {
      if (request.status >= 400) {
        const body = session.send("Network.getResponseBody", { requestId });
        // The page may not have read the body.
        request.refusal = body.then(({ body }) => body).catch(() => null);
      }
    });
    on("loadingFailed", (request) => {
      request.over = true;
    });
    await session.send("Network.enable");
    return network;
  }

  #request(id) {
    return this.#requests.get(id) ?? this.#requests.set(id, {}).get(id);
  }

  #asked() {
    const counts = ({ method, url }) => method && method !== "OPTIONS" && new URL(url).origin !== this.#own;
    return [...this.#requests.values()].filter(counts);
  }

  async quiet() {
    while (Date.now() - this.#last < QUIET || this.#asked().some(({ over }) => !over)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** What was asked so far, in order. `part` is the number in a request of S3 for one, `sent` the length of the body. */
  calls(api) {
    const calls = this.#asked().map(async ({ method, url, sent = 0, status = null, refusal = null }) => {
      const { origin, pathname, searchParams } = new URL(url);
      const to = origin === new URL(api).origin ? "api" : "s3";
      const part = searchParams.get("partNumber");
      return { to, method, path: pathname, part, sent, status, refusal: await refusal };
    });
    return Promise.all(calls);
  }
}

async function perform(upload, browser) {
  const origin = await serve(script(upload.major));
  const page = await browser.newPage();
  const thrown = [];
  page.on("pageerror", (error) => thrown.push(String(error?.message ?? error)));
  await page.goto(origin);
  const network = await Network.of(page, origin);
  let end = await page.evaluate((upload) => begin(upload), upload);
  await network.quiet();
  let untilPause = null;
  if (end === "paused") {
    untilPause = await network.calls(upload.api);
    end = await page.evaluate(() => resume());
    await network.quiet();
  }
  const calls = await network.calls(upload.api);
  await page.close();
  return { end, thrown, untilPause, calls };
}

withBrowser(async (browser) => {
  for (const upload of JSON.parse(process.argv[2])) {
    console.log(JSON.stringify(await perform(upload, browser)));
  }
});
