// Who calls: one of the sample's people, or whoever has the token that was given. It is kept until the browser's tab is
// closed, and sent by these pages alone.
const content = JSON.parse(document.getElementById("content").textContent);
export const { people, queries, closed } = content;

const KEPT = "cohort.caller"; // a user of the sample, or a token
const tokens = new Map(people.map((person) => [person.user, person.token]));
const listeners = [];
let kept = sessionStorage.getItem(KEPT) ?? "";
if (people.length && !tokens.has(kept)) kept = content.user;

/** The user who calls, where the sample has people. */
export const user = () => kept;

const token = () => (people.length ? tokens.get(kept) : kept);

/** Calls with the caller's token, unless the call has one of its own. */
export function fetchAsCaller(url, options = {}) {
  const headers = new Headers(options.headers);
  if (token() && !headers.has("Authorization")) headers.set("Authorization", `Bearer ${token()}`);
  return fetch(url, { ...options, headers });
}

/** The caller's Authorization header, or nothing. */
export const authorization = () => (token() ? `Bearer ${token()}` : null);

/** From now on this user calls, or who has this token. */
export function callAs(who) {
  kept = who;
  sessionStorage.setItem(KEPT, who);
  show();
  for (const listener of listeners) listener(who);
}

/** Has the listener called whenever somebody else calls. */
export const onCaller = (listener) => void listeners.push(listener);

/** Resolves when the caller may see what describes the API; until then the page asks for a token. */
export async function admitted(main) {
  if (!closed) return;
  for (;;) {
    const answer = await fetchAsCaller("schema.graphql", { method: "HEAD" });
    if (answer.ok) return;
    const wrong = token() ? "That token does not hold." : "This page needs a token.";
    main.innerHTML = `<p class="note" role="status">${wrong} Give one above: it is sent to this host alone, and kept until this tab is closed.</p>`;
    await new Promise((resolve) => listeners.push(resolve));
  }
}

const form = document.getElementById("caller");

function showPeople() {
  const choices = people.map((person) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "caller", value: person.user });
    input.addEventListener("change", () => callAs(person.user));
    label.title = `${person.roles.join(", ")}. ${person.may}`;
    label.append(input, Object.assign(document.createElement("span"), { textContent: person.user }));
    label.append(Object.assign(document.createElement("small"), { textContent: person.roles[0] }));
    return label;
  });
  form.setAttribute("aria-label", "Whose token is sent");
  form.replaceChildren(Object.assign(document.createElement("span"), { textContent: "As" }), ...choices);
}

function showToken() {
  form.innerHTML = `<label class="token">Token <input type="password" name="token" autocomplete="off" spellcheck="false"></label><button>Use</button>`;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    callAs(form.token.value.trim().replace(/^Bearer /i, ""));
  });
}

function show() {
  if (people.length) form.querySelector(`[value="${CSS.escape(kept)}"]`).checked = true;
  else form.token.value = kept;
}

(people.length ? showPeople : showToken)();
show();

const schema = document.getElementById("schema");
if (closed)
  schema.addEventListener("click", async (event) => {
    event.preventDefault(); // a browser sends no token with an address
    const answer = await fetchAsCaller("schema.graphql");
    const text = answer.ok ? await answer.text() : "# The schema needs a token: give one above.\n";
    location.assign(URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" })));
  });
