// The data of both pages, with either client: the same, and of the types that the schema promises.
import assert from "node:assert/strict";
import { it } from "node:test";

import * as withApollo from "../src/apollo.js";
import * as withUrql from "../src/urql.js";
import { known, learner, mentor, url } from "./served.js";

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

it("the learner's home grows by pages and by what is joined", async () => {
  const client = withApollo.apollo(url, learner);
  const home = withApollo.learnersHome(client, 2);
  const shown = () => {
    const now = home.shown.getCurrentResult();
    return now.dataState === "complete" ? known(now.data.me?.enrolments).edges.map(({ node }) => node) : [];
  };
  const subscription = await new Promise<{ unsubscribe(): void }>((resolve) => {
    const mine = home.shown.subscribe((now) => now.dataState === "complete" && resolve(mine));
  });
  assert.equal(shown().length, 2);
  while (await home.more());
  const all = shown();
  assert.equal(new Set(all.map((one) => one.id)).size, all.length);
  assert.ok(all.length > 2);
  for (const one of all) {
    assert.match(one.enrolledOn, MOMENT);
    assert.ok(one.completionPercentage >= 0 && one.completionPercentage <= 100);
    assert.ok(known(one.collection).leafNodesCount > 0);
  }
  subscription.unsubscribe();
  const page = await withUrql.learnersHome(withUrql.urql(url, learner), 200);
  assert.deepEqual(known(page).edges.map(({ node }) => node.id), all.map((one) => one.id));
});

it("what is joined is on the home", async () => {
  const client = withUrql.urql(url, learner);
  const before = known(await withUrql.learnersHome(client));
  const joined = known(await withUrql.join(client, "chess", "chess-open"));
  assert.deepEqual(joined.errors, []);
  const after = known(await withUrql.learnersHome(client));
  assert.equal(after.edges.length, before.edges.length + 1);
  const again = known(await withUrql.join(client, "chess", "chess-open"));
  assert.deepEqual(again.errors.map((one) => one.code), ["ALREADY_ENROLLED"]);
});

it("both clients have the same course page and group page", async () => {
  const [apollo, urql] = [withApollo.apollo(url, learner), withUrql.urql(url, learner)];
  const course = known(await withApollo.coursePage(apollo, "sky", "sky-open"));
  assert.equal(course.name, "Reading the night sky");
  assert.deepEqual(json(await withUrql.coursePage(urql, "sky", "sky-open")), json(course));

  const group = known(await withApollo.groupPage(withApollo.apollo(url, mentor), "evening-class"));
  assert.deepEqual(json(await withUrql.groupPage(withUrql.urql(url, mentor), "evening-class")), json(group));
  assert.deepEqual(known(group.activities).map((one) => one.type), ["Course", "CourseUnit", "Course"]);
});

it("a refused token is an error, and no empty page", async () => {
  await assert.rejects(withApollo.groupPage(withApollo.apollo(url, "none"), "evening-class"), /401/);
  await assert.rejects(withUrql.groupPage(withUrql.urql(url, "none"), "evening-class"), /./);
});

/** Without names of types, and in one order of fields. */
function json(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(json);
  if (value === null || typeof value !== "object") return value;
  const fields = Object.entries(value).filter(([name]) => name !== "__typename");
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, json(one)]));
}
