// examples/page in a real browser: served from another origin than Cohort, signed in by a token, and reloaded.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const { COHORT_URL, COHORT_MENTOR_TOKEN, CHROMIUM } = process.env;
let browser, server, origin;

before(async () => {
  const page = await readFile(new URL("../../page/index.html", import.meta.url));
  server = createServer((_, answer) => answer.setHeader("content-type", "text/html; charset=utf-8").end(page));
  await new Promise((ready) => server.listen(0, "localhost", ready));
  origin = `http://localhost:${server.address().port}`;
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
});
after(async () => {
  await browser?.close();
  server?.close();
});

test("it shows the group, and after a reload the same, by a 304", { timeout: 60_000 }, async () => {
  const page = await (await browser.newContext()).newPage();
  const failures = [];
  page.on("pageerror", (error) => failures.push(String(error)));
  // The protocol tells what went over the wire: to the page a 304 looks like the answer that the browser kept.
  const wire = await page.context().newCDPSession(page);
  await wire.send("Network.enable");
  const [urls, sent, statuses] = [new Map(), new Map(), []];
  wire.on("Network.requestWillBeSent", ({ requestId, request }) => urls.set(requestId, [request.method, request.url]));
  wire.on("Network.requestWillBeSentExtraInfo", ({ requestId, headers }) => sent.set(requestId, headers));
  wire.on("Network.responseReceivedExtraInfo", ({ requestId, statusCode, headers }) => {
    const [method, url] = urls.get(requestId) ?? [];
    if (method === "GET" && url.startsWith(`${COHORT_URL}/graphql`)) statuses.push([requestId, statusCode, headers]);
  });

  assert.notEqual(new URL(COHORT_URL).origin, origin);
  await page.goto(`${origin}/?cohort=${COHORT_URL}&group=evening-class`);
  await page.getByLabel("Token").fill(COHORT_MENTOR_TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "The evening class" }).waitFor();
  const shown = await page.getByRole("table").allInnerTexts();
  assert.equal(shown.length, 3);
  assert.match(shown[0], /Reading the night sky: \d+ enrolled/);
  assert.match(shown[0], /\d %/);

  await page.reload();
  await page.getByRole("heading", { name: "The evening class" }).waitFor();
  assert.deepEqual(await page.getByRole("table").allInnerTexts(), shown);
  assert.deepEqual(statuses.map(([, status]) => status), [200, 304]);
  const names = Object.keys(sent.get(statuses[1][0])).map((name) => name.toLowerCase());
  assert.ok(names.includes("if-none-match"), names.join());
  assert.deepEqual(failures, []);
});

test("a token that does not hold is told", { timeout: 60_000 }, async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${origin}/?cohort=${COHORT_URL}`);
  await page.getByLabel("Token").fill("none");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("UNAUTHENTICATED").waitFor();
  assert.equal(await page.getByRole("table").count(), 0);
});
