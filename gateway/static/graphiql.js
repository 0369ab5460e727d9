// GraphiQL with a tab for each ready query; #NAME opens it at that of the query. Tabs live in memory only: a reload
// brings them back as they were. Each tab has its caller.
import { admitted, callAs, fetchAsCaller, onCaller, people, queries, user } from "./caller.js";

const main = document.getElementById("graphiql");
const tabs = queries.map(({ name, title, query, variables }) => ({
  id: name,
  title,
  query,
  variables: JSON.stringify(variables, null, 2),
  headers: null,
  operationName: title,
  response: null,
}));
const opened = tabs.find(({ id }) => location.hash === `#${id}`) ?? tabs[0];

// GraphiQL opens the kept tab whose query and variables it is given.
const kept = new Map([["graphiql:tabState", JSON.stringify({ tabs, activeTabIndex: 0 })]]);
const storage = {
  get length() {
    return kept.size;
  },
  getItem: (name) => kept.get(name) ?? null,
  setItem: (name, value) => void kept.set(name, value),
  removeItem: (name) => void kept.delete(name),
  clear: () => kept.clear(),
};

const callers = new Map(queries.map(({ name, by }) => [name, by]));
let active = opened.id;
onCaller((who) => callers.set(active, who));
function onTabChange({ tabs, activeTabIndex }) {
  if (tabs[activeTabIndex].id === active) return;
  active = tabs[activeTabIndex].id;
  if (people.length) callAs(callers.get(active) ?? user());
}

// GraphiQL's check of variables takes an object for wrong where the schema has a scalar of its own (JSON, DateTime):
// for those any value may be right.
const OF_OWN_SCALAR = /^Expected value of type "(?!(?:Int|Float|String|Boolean|ID)!?")/;
function checkVariablesBySchema(editor) {
  const check = editor.getHelper({ line: 0, ch: 0 }, "lint");
  editor.constructor.registerHelper("lint", "graphql-variables", (text, options, of) =>
    check(text, options, of).filter(({ message }) => !OF_OWN_SCALAR.test(message)),
  );
}
function Mended() {
  const { variableEditor, activeTabIndex } = GraphiQL.React.useEditorContext();
  React.useEffect(() => void (variableEditor && checkVariablesBySchema(variableEditor)), [variableEditor]);
  // The active tab comes into sight where not all have room.
  React.useEffect(() => {
    main.querySelector(".graphiql-tab-active")?.scrollIntoView({ inline: "center", block: "nearest" });
  }, [activeTabIndex]);
  return null;
}

await admitted(main);
if (people.length) callAs(callers.get(active));
ReactDOM.createRoot(main).render(
  React.createElement(
    GraphiQL,
    {
      fetcher: GraphiQL.createFetcher({ url: "graphql", fetch: fetchAsCaller }),
      query: opened.query,
      variables: opened.variables,
      defaultEditorToolsVisibility: "variables",
      shouldPersistHeaders: false,
      onTabChange,
      storage,
    },
    React.createElement(GraphiQL.Logo, null, React.createElement(Mended)),
  ),
);
