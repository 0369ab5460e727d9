// GraphiQL with a tab for each ready query. Tabs live in memory only: a reload brings them back as they were,
// with new tokens.
"use strict";

const start = JSON.parse(document.getElementById("start").textContent);
document.getElementById("user").textContent = start.user;

const kept = new Map();
const storage = {
  get length() {
    return kept.size;
  },
  getItem: (name) => kept.get(name) ?? null,
  setItem: (name, value) => void kept.set(name, value),
  removeItem: (name) => void kept.delete(name),
  clear: () => kept.clear(),
};

const headersOf = (user) => JSON.stringify({ Authorization: `Bearer ${start.tokens[user]}` }, null, 2);
const tabs = start.queries.map(({ query, variables, user }) => ({
  query,
  variables: JSON.stringify(variables, null, 2),
  headers: headersOf(user),
}));

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: "graphql" }),
    defaultTabs: tabs,
    defaultHeaders: headersOf(start.user),
    defaultEditorToolsVisibility: "variables",
    shouldPersistHeaders: false,
    storage,
  }),
);
