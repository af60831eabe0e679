// Reads the page of the API at the URL of the argument, tries one operation, and prints a line of JSON: the operations, the
// result of that one, every URL that the page requested, and its errors.

"use strict";

const { withBrowser } = require("./chromium");

withBrowser(async (browser) => {
  const page = await browser.newPage();
  const urls = [];
  const complaints = [];
  page.on("request", (request) => urls.push(request.url()));
  page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure().errorText}`));
  page.on("pageerror", (error) => complaints.push(String(error?.message ?? error)));
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) {
      complaints.push(message.text());
    }
  });
  await page.goto(`${JSON.parse(process.argv[2])}/docs`);
  await page.waitForSelector(".opblock-summary-path");
  const operations = await page.$$eval(".opblock-summary", (summaries) =>
    summaries.map((summary) => {
      const text = (part) => summary.querySelector(`.opblock-summary-${part}`).textContent;
      // Zero-width spaces mark positions for line breaks.
      return `${text("method")} ${text("path").replaceAll("\u200b", "")}`;
    }),
  );
  await page.click("#operations-Status-showStatus .opblock-summary-control");
  for (const button of [".try-out__btn", ".execute"]) {
    await (await page.waitForSelector(`#operations-Status-showStatus ${button}`)).click();
  }
  const answer = await page.waitForSelector("#operations-Status-showStatus .live-responses-table .response .response-col_status");
  const status = await answer.evaluate((cell) => cell.textContent.trim().slice(0, 3));
  if (process.env.SCREENSHOT) {
    await page.setViewport({ width: 1200, height: 1600 });
    await page.screenshot({ path: process.env.SCREENSHOT });
  }
  console.log(JSON.stringify({ operations, status, urls, complaints }));
});
