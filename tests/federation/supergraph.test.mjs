// Cohort in a supergraph, beside a subgraph of somebody else that says more of learners: Apollo's own composition and
// gateway read what a served Cohort tells, and ask it as a router does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { composeServices } from "@apollo/composition";
import { ApolloGateway, LocalGraphQLDataSource, RemoteGraphQLDataSource } from "@apollo/gateway";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { parse } from "graphql";

const url = `${process.env.COHORT_URL}/graphql`;
const learner = process.env.COHORT_LEARNER_TOKEN;
const mentor = process.env.COHORT_MENTOR_TOKEN;

const nicknames = { ada: "countess", grace: "admiral" };
const profiles = parse(`
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable", "@external", "@requires"])
  type Query { staff: [Learner!]! }
  type Learner @key(fields: "userId") {
    userId: String!
    name: String @external
    nickname: String
    greeting: String @requires(fields: "name")
  }
  type PageInfo @shareable { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
`);
const resolvers = {
  Query: { staff: () => ["ada", "nobody-knows-them", "ada"].map((userId) => ({ userId })) },
  Learner: {
    __resolveReference: ({ userId, name }) => ({ userId, name }),
    nickname: ({ userId }) => nicknames[userId] ?? null,
    greeting: ({ name }) => (name ? `Hello, ${name}` : null),
  },
};

async function asked(token, query, variables = {}) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  return answer.json();
}

async function supergraph() {
  const { data } = await asked(learner, "{ _service { sdl } }");
  const composed = composeServices([
    { name: "cohort", url, typeDefs: parse(data._service.sdl) },
    { name: "profiles", url: "local", typeDefs: profiles },
  ]);
  assert.deepEqual(composed.errors?.map(String), undefined);
  return composed;
}

test("what Cohort tells is composed with another subgraph, without a hint", async () => {
  const { supergraphSdl, hints } = await supergraph();
  assert.deepEqual(hints.map(String), []);
  assert.match(supergraphSdl, /join__graph\(name: "cohort"/);
});

test("a gateway in front answers from both, with the caller's token", async () => {
  const { supergraphSdl } = await supergraph();
  const calls = [];
  class WithToken extends RemoteGraphQLDataSource {
    willSendRequest({ request, context }) {
      calls.push(request);
      request.http.headers.set("authorization", `Bearer ${context.token}`);
    }
  }
  const gateway = new ApolloGateway({
    supergraphSdl,
    buildService: ({ name }) =>
      name === "cohort" ? new WithToken({ url }) : new LocalGraphQLDataSource(buildSubgraphSchema({ typeDefs: profiles, resolvers })),
  });
  const { schema, executor } = await gateway.load();
  async function through(token, query) {
    calls.length = 0;
    const document = parse(query);
    const operation = document.definitions[0];
    const request = { query, variables: {}, http: undefined };
    const answer = await executor({ request, document, operation, operationName: null, queryHash: query, source: query, schema, context: { token }, metrics: {} });
    return JSON.parse(JSON.stringify(answer));
  }
  try {
    await asked(learner, 'mutation { updateLearner(input: { name: "Ada" }) { errors { message } } }');
    const own = await through(learner, "{ me { userId name nickname greeting enrolments(first: 1) { pageInfo { hasNextPage } edges { node { collection { identifier } } } } } }");
    assert.equal(own.errors, undefined);
    assert.equal(own.data.me.userId, "ada");
    assert.equal(own.data.me.nickname, "countess");
    assert.equal(own.data.me.greeting, "Hello, Ada");

    // From the other subgraph to Cohort: three references, one call, and an error for the one of whom nothing is known.
    const staff = await through(mentor, "{ staff { userId nickname name } }");
    const [ada] = staff.data.staff;
    assert.deepEqual(staff.data.staff, [ada, { userId: "nobody-knows-them", nickname: null, name: null }, ada]);
    assert.equal(ada.name, "Ada");
    assert.equal(calls.length, 1);
    assert.match(calls[0].query, /_entities/);
    assert.equal(staff.errors[0].extensions.code, "NOT_FOUND");

    // A learner's token opens through the supergraph what it opens at Cohort.
    const refused = await through(learner, "{ staff { userId nickname name } }");
    assert.equal(refused.data.staff[0].name, "Ada");
    assert.equal(refused.data.staff[1].name, null);
    assert.equal(refused.errors[0].extensions.code, "FORBIDDEN");

    const { data } = await asked(learner, "{ me { id } }");
    const node = await through(mentor, `{ node(id: "${data.me.id}") { id ... on Learner { nickname } } }`);
    assert.deepEqual(node, { data: { node: { id: data.me.id, nickname: "countess" } } });
  } finally {
    await gateway.stop();
  }
});
