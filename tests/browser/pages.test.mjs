// The pages in a real browser. tests/browser/test_pages.py serves them and says where: COHORT_URL, COHORT_CLOSED_URL (an
// instance with explorer = authenticated), COHORT_TOKEN, and CHROMIUM.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";

const { COHORT_URL: url, COHORT_CLOSED_URL: closedUrl, COHORT_TOKEN: token, CHROMIUM: executablePath } = process.env;
const WIDTHS = [390, 800, 1440];
const PATIENCE = 120_000; // milliseconds: CI's machine may have a lot else to do
const OPTIONS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath, args: OPTIONS.split(" ") });
});
after(() => browser?.close());

/** Opens a page, has `look` look at it, and holds that nothing was asked of another host and nothing complained. */
async function opened(path, width, look, { base = url, complaints = [] } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 844 } });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const told = [];
  const elsewhere = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && told.push(message.text()));
  page.on("pageerror", (error) => told.push(error.message));
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (!["data:", "blob:"].includes(asked.protocol) && asked.origin !== base) elsewhere.push(request.url());
  });
  await page.goto(`${base}/${path}`);
  await look(page);
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(told.filter((text) => !complaints.some((known) => text.includes(known))), []);
  await context.close();
}

async function fits(page) {
  const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(needed <= given, `the page is ${needed} wide on a screen of ${given}`);
}

const editors = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll(".CodeMirror")].map((element) => ({
      text: element.CodeMirror.getValue(),
      shown: element.innerText,
      errors: element.CodeMirror.getAllMarks().flatMap((mark) => mark.__annotation?.message ?? []),
    })),
  );

/** Waits for GraphiQL and for the schema, by which it checks what stands in its editors. */
async function ready(page) {
  await page.waitForFunction(() => document.querySelector(".CodeMirror")?.CodeMirror.options.lint?.schema);
  await page.waitForTimeout(500);
}

async function run(page, operation) {
  await page.locator(".graphiql-execute-button").click();
  if (operation) await page.getByRole("menuitem", { name: operation, exact: true }).click();
  await page.waitForFunction(() => {
    const answer = document.querySelector(".result-window .CodeMirror")?.CodeMirror.getValue();
    return answer && !document.querySelector(".graphiql-spinner");
  });
  return JSON.parse(await page.evaluate(() => document.querySelector(".result-window .CodeMirror").CodeMirror.getValue()));
}

const CALL = "[data-section-id*='/operation/'], [data-section-id*='/paths/']";
const titles = (page) => page.locator(".graphiql-tab-button").allInnerTexts();

describe("the start page", () => {
  for (const width of WIDTHS)
    test(`fits ${width} pixels and leads to queries, nouns, documents and a token of each role`, () =>
      opened("", width, async (page) => {
        await page.locator("#people li").first().waitFor();
        await fits(page);
        assert.equal(await page.locator("#people li").count(), 6);
        assert.equal(await page.locator("dt").count(), 10);
        assert.ok((await page.locator(".tasks a").count()) >= 11);
        assert.ok((await page.locator(".docs a").count()) >= 9);
      }));

  test("copies a token, which holds", () =>
    opened("", 1440, async (page) => {
      await page.locator("#people li button").nth(1).click();
      await page.getByText("Copied").waitFor();
      const status = await page.evaluate(async () => {
        const headers = { Authorization: `Bearer ${await navigator.clipboard.readText()}`, "Content-Type": "application/json" };
        const answer = await fetch("graphql", { method: "POST", headers, body: '{"query": "{ me { userId } }"}' });
        return (await answer.json()).data.me.userId;
      });
      assert.equal(status, "mira");
    }));

  test("opens a query in its tab, as one who may send it", () =>
    opened("", 1440, async (page) => {
      await page.getByRole("link", { name: "A dashboard of three tiles" }).click();
      await ready(page);
      assert.equal(await page.locator(".graphiql-tab-active").innerText(), "Dashboard");
      assert.equal(await page.locator("#caller :checked").inputValue(), "mira");
      assert.ok((await run(page)).data.totals.rows.length);
    }));
});

describe("GraphiQL", () => {
  for (const width of WIDTHS)
    test(`at ${width} pixels shows the first tab's variables and an answer that can be read`, () =>
      opened("graphiql", width, async (page) => {
        await ready(page);
        const shown = (await editors(page)).map((editor) => editor.shown);
        assert.ok(shown.some((text) => text.includes('"first": 20')), shown.join());
        const { data } = await run(page);
        assert.equal(data.me.userId, "ada");
        const answer = await page.evaluate(() => document.querySelector(".result-window .CodeMirror").offsetWidth);
        assert.ok(answer >= Math.min(340, width / 3), `the answer is ${answer} wide`);
        await fits(page);
      }));

  test("finds no fault in what is ready, in any tab", () =>
    opened("graphiql", 1440, async (page) => {
      await ready(page);
      for (let tab = 0; tab < (await titles(page)).length; tab++) {
        await page.locator(".graphiql-tab-button").nth(tab).click();
        await page.waitForTimeout(600);
        for (const { text, errors } of await editors(page)) {
          // The documents are those that clients hold: a name that is deprecated is told, and is no fault.
          assert.deepEqual(errors.filter((said) => !said.includes(" is deprecated. ")), [], text);
        }
        assert.equal(await page.locator(".CodeMirror-lint-mark-error").count(), 0);
      }
    }));

  test("finds the fault in a variable that is none of the query's, and one of the wrong kind", () =>
    opened("graphiql", 1440, async (page) => {
      await ready(page);
      await page.evaluate(() => {
        const variables = [...document.querySelectorAll(".CodeMirror")].find((one) => one.innerText.includes('"first"'));
        variables.CodeMirror.setValue('{"first": "many", "second": 2}');
      });
      await page.locator(".CodeMirror-lint-mark-error").first().waitFor();
      const errors = (await editors(page)).flatMap((one) => one.errors);
      assert.deepEqual(errors, ['Expected value of type "Int".', 'Variable "$second" does not appear in any GraphQL query.']);
    }));

  test("keeps a tab's name when one of its operations runs", () =>
    opened("graphiql#record_view", 1440, async (page) => {
      await ready(page);
      const before = await titles(page);
      assert.deepEqual((await run(page, "Enrol")).data.enrol.errors, []);
      assert.equal((await run(page, "Start")).data.startView.view.contentId, "chess-square");
      assert.deepEqual(await titles(page), before);
      assert.ok(before.includes("Enrol"));
    }));

  test("sends another's token after a click, in that tab alone", () =>
    opened("graphiql", 1440, async (page) => {
      await ready(page);
      assert.equal((await run(page)).data.me.userId, "ada");
      await page.locator("#caller label", { hasText: "mira" }).click();
      assert.equal((await run(page)).data.me?.userId, "mira");
      await page.locator(".graphiql-tab-button").nth(1).click();
      assert.equal(await page.locator("#caller :checked").inputValue(), "ada");
      await page.locator(".graphiql-tab-button").nth(0).click();
      assert.equal(await page.locator("#caller :checked").inputValue(), "mira");
    }));

  test("changes a draft in the tab for authors", () =>
    opened("graphiql#drafts", 1440, async (page) => {
      await ready(page);
      assert.equal(await page.locator("#caller :checked").inputValue(), "carla");
      assert.deepEqual((await run(page, "SaveDraft")).data.updateContent.errors, []);
      assert.equal((await run(page, "Draft")).data.collection.status, "Draft");
    }));
});

describe("the reference of REST", () => {
  for (const width of WIDTHS)
    test(`at ${width} pixels has every call, with examples that name the sample`, () =>
      opened("reference", width, async (page) => {
        await page.locator(CALL).first().waitFor();
        const document = await page.evaluate(async () => (await fetch("openapi.json")).json());
        const calls = Object.values(document.paths).flatMap(Object.keys);
        await page.waitForFunction(([call, count]) => document.querySelectorAll(call).length === count, [CALL, calls.length]);
        assert.ok((await page.getByText('"evening-class"').count()) > 5);
        await fits(page);
      }));
});

describe("where a token is needed", () => {
  const known = { base: closedUrl, complaints: ["401"] };
  for (const [path, shown] of [
    ["graphiql", ".graphiql-container"],
    ["reference", CALL],
  ])
    test(`${path} shows nothing of the API before it has one that holds`, () =>
      opened(path, 390, async (page) => {
        await page.getByText("This page needs a token.").waitFor();
        assert.equal(await page.locator(shown).count(), 0);
        await page.getByLabel("Token").fill("made up");
        await page.getByRole("button", { name: "Use" }).click();
        await page.getByText("That token does not hold.").waitFor();
        assert.equal(await page.locator(shown).count(), 0);
        await page.getByLabel("Token").fill(token);
        await page.getByLabel("Token").press("Enter");
        await page.locator(shown).first().waitFor();
        await fits(page);
      }, known));
});
