// GraphiQL with a tab for each ready query. Tabs live in memory only: a reload brings them back as they were,
// with a new token.
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

const headers = JSON.stringify({ Authorization: `Bearer ${start.token}` }, null, 2);
const tabs = start.queries.map(({ query, variables }) => ({
  query,
  variables: JSON.stringify(variables, null, 2),
  headers,
}));

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: "graphql" }),
    defaultTabs: tabs,
    defaultHeaders: headers,
    defaultEditorToolsVisibility: "variables",
    shouldPersistHeaders: false,
    storage,
  }),
);
