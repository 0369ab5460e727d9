// What a page shows out of a normalised cache is what Cohort answered: with Apollo's cache and with urql's.
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";

import * as documents from "../src/generated/graphql.js";
import type { GroupFiguresQuery } from "../src/generated/graphql.js";
import { clients, known, learner, mentor, plain, service } from "./served.js";

const BIG = "evening-class"; // the sample's group: thirteen learners, three activities
const PAIR = `pair-${process.pid}`; // two of them, with one of the same activities
const MEMBERS = ["ada", "bola-okafor"];

/** The percentages of the members in the course, by user id. */
function percentages(answer: GroupFiguresQuery): Record<string, number | null> {
  const course = known(answer.group?.activities?.find((one) => one.activityId === "sky"));
  return Object.fromEntries(course.members.edges.map(({ node }) => [node.learner.userId, node.completionPercentage]));
}

function enrolled(answer: GroupFiguresQuery): number | null {
  return known(answer.group?.activities?.find((one) => one.activityId === "sky")).enrolledCount;
}

/** The number of enrolled members, right from the rows. */
async function served(group: string): Promise<number> {
  const query = `query ($group: String!) { group(groupId: $group) { activities(activityIds: ["sky"]) { enrolledCount } } }`;
  const answer = await plain<{ group: { activities: [{ enrolledCount: number }] } }>(mentor, query, { group });
  return answer.group.activities[0].enrolledCount;
}

before(async () => {
  const create = `mutation ($input: CreateGroupInput!) { createGroup(input: $input) { errors { message } group { groupId } } }`;
  const input = {
    groupId: PAIR,
    name: "Two of them",
    members: MEMBERS.map((userId) => ({ userId })),
    activities: [{ activityId: "sky", type: "Course" }],
  };
  const { createGroup } = await plain<{ createGroup: { errors: unknown[] } }>(service, create, { input });
  assert.deepEqual(createGroup.errors, []);
});

for (const [name, client] of Object.entries(clients)) {
  describe(name, () => {
    it("keeps the figures of two groups with one activity apart", async () => {
      const expected = [await served(BIG), await served(PAIR)];
      assert.notEqual(expected[0], expected[1], "the two could not be told apart");
      const pages = client(mentor);
      for (const group of [BIG, PAIR]) await pages.ask(documents.GroupFiguresDocument, { group });
      const shown = [];
      for (const group of [BIG, PAIR]) shown.push(enrolled(await pages.shown(documents.GroupFiguresDocument, { group })));
      assert.deepEqual(shown, expected);
    });

    it("would show one group's figures for the other's if ids clashed", async () => {
      const pages = client(mentor, true);
      for (const group of [BIG, PAIR]) await pages.ask(documents.GroupFiguresDocument, { group });
      const shown = enrolled(await pages.shown(documents.GroupFiguresDocument, { group: BIG }));
      assert.equal(shown, await served(PAIR));
      assert.notEqual(shown, await served(BIG));
    });

    it("knows a learner of two groups as one", async () => {
      const pages = client(service);
      for (const group of [BIG, PAIR]) await pages.ask(documents.GroupPageDocument, { group });
      const newName = `Bola, renamed with ${name}`;
      await pages.change(documents.RenameDocument, { userId: "bola-okafor", name: newName });
      for (const group of [BIG, PAIR]) {
        const page = await pages.shown(documents.GroupPageDocument, { group });
        const members = known(page.group?.activities?.[0]).members.edges.map(({ node }) => node.learner);
        assert.equal(known(members.find((one) => one.userId === "bola-okafor")).name, newName);
      }
    });

    it("makes one list of the pages of enrolments", async () => {
      const all = await plain<documents.MyEnrolmentsQuery>(
        learner,
        "{ me { enrolments { edges { node { id } } } } }",
        {},
      );
      const expected = known(all.me?.enrolments).edges.map(({ node }) => node.id);
      assert.ok(expected.length >= 3, "too few for two pages");
      const pages = client(learner);
      const first = await pages.ask(documents.MyEnrolmentsDocument, { first: 2 });
      assert.deepEqual(ids(first), expected.slice(0, 2));
      const after = known(first.me?.enrolments?.pageInfo.endCursor);
      await pages.ask(documents.MyEnrolmentsDocument, { first: 2, after });
      // Apollo has the whole list under the first page's variables, urql under the last one's.
      const variables = name === "Apollo" ? { first: 2 } : { first: 2, after };
      const shown = await pages.shown(documents.MyEnrolmentsDocument, variables);
      assert.deepEqual(ids(shown), expected.slice(0, 4));
    });

    it("shows what a mutation answered in the list", async () => {
      const chess = { collectionId: "chess", contextId: "chess-open" };
      const pages = client(learner);
      const { enrol } = await pages.change(documents.JoinDocument, chess);
      assert.deepEqual(enrol.errors, []);
      await pages.ask(documents.MyEnrolmentsDocument, {});
      const joined = await pages.shown(documents.MyEnrolmentsDocument, {});
      assert.equal(activeIn(joined, known(enrol.enrolment).id), true);
      const { unenrol } = await pages.change(documents.LeaveDocument, chess);
      assert.deepEqual(unenrol.errors, []);
      assert.equal(known(unenrol.enrolment).id, known(enrol.enrolment).id);
      const left = await pages.shown(documents.MyEnrolmentsDocument, {});
      assert.equal(activeIn(left, known(enrol.enrolment).id), false);
    });

    it("has a change in the figures that are asked for with its token", async () => {
      const pages = client(service);
      const mine = client(learner);
      const earlier = percentages(await pages.ask(documents.GroupFiguresDocument, { group: PAIR }));
      const contentId = name === "Apollo" ? "sky-mars" : "sky-constellations"; // one for each: a completed one stays so
      const place = { contentId, collectionId: "sky", contextId: "sky-open" };
      const { endView } = await mine.change(documents.CompleteDocument, place);
      assert.deepEqual(endView.errors, []);
      assert.equal(endView.view?.status, "COMPLETED");
      const fresh = known(endView.token);
      const later = percentages(await pages.ask(documents.GroupFiguresDocument, { group: PAIR, fresh }));
      assert.ok(known(later["ada"]) > known(earlier["ada"]), JSON.stringify([earlier, later]));
      // The activity is the same object, so what was shown before has the new figure, too.
      const shown = percentages(await pages.shown(documents.GroupFiguresDocument, { group: PAIR }));
      assert.deepEqual(shown, later);
    });
  });
}

function ids(answer: documents.MyEnrolmentsQuery): string[] {
  return known(answer.me?.enrolments).edges.map(({ node }) => node.id);
}

function activeIn(answer: documents.MyEnrolmentsQuery, id: string): boolean {
  return known(known(answer.me?.enrolments).edges.find(({ node }) => node.id === id)).node.active;
}
