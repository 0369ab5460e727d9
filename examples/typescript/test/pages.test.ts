// The data of both pages, with either client: the same, and of the types that the schema promises.
import assert from "node:assert/strict";
import { it } from "node:test";

import * as withApollo from "../src/apollo.js";
import * as withUrql from "../src/urql.js";
import { known, learner, mentor, plain, url } from "./served.js";

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const pages = {
  Apollo: () => {
    const client = withApollo.apollo(url, learner);
    return {
      home: (first?: number, after?: string) => withApollo.learnersHome(client, first, after),
      join: (collection: string, context: string) => withApollo.join(client, collection, context),
    };
  },
  urql: () => {
    const client = withUrql.urql(url, learner);
    return {
      home: (first?: number, after?: string) => withUrql.learnersHome(client, first, after),
      join: (collection: string, context: string) => withUrql.join(client, collection, context),
    };
  },
};
const leave = `mutation { unenrol(input: { collectionId: "chess", contextId: "chess-open" }) { errors { message } } }`;

for (const [name, client] of Object.entries(pages)) {
  it(`the learner's home grows by pages, with ${name}`, async () => {
    const { home } = client();
    const first = known(await home(2));
    assert.equal(first.edges.length, 2);
    assert.equal(first.pageInfo.hasNextPage, true);
    const all = known(await home(2, known(first.pageInfo.endCursor))).edges.map(({ node }) => node);
    assert.ok(all.length > 2);
    assert.deepEqual(
      all.map((one) => one.id),
      known(await client().home(200)).edges.map(({ node }) => node.id),
    );
    for (const one of all) {
      assert.match(one.enrolledOn, MOMENT);
      assert.ok(one.completionPercentage >= 0 && one.completionPercentage <= 100);
      assert.ok(known(one.collection).leafNodesCount > 0);
    }
  });

  it(`what is joined is on the home, with ${name}`, async () => {
    const { home, join } = client();
    const before = known(await home());
    assert.deepEqual(known(await join("chess", "chess-open")).errors, []);
    try {
      assert.equal(known(await home()).edges.length, before.edges.length + 1);
      const again = known(await join("chess", "chess-open"));
      assert.deepEqual(again.errors.map((one) => one.code), ["ALREADY_ENROLLED"]);
    } finally {
      await plain(learner, leave, {});
    }
  });
}

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
  await assert.rejects(withApollo.groupPage(withApollo.apollo(url, "none"), "evening-class"), /does not hold/);
  await assert.rejects(withUrql.groupPage(withUrql.urql(url, "none"), "evening-class"), /does not hold/);
});

/** Without names of types, and in one order of fields. */
function json(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(json);
  if (value === null || typeof value !== "object") return value;
  const fields = Object.entries(value).filter(([name]) => name !== "__typename");
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, json(one)]));
}
