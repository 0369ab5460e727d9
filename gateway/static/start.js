// The start page: a token of each of the sample's people, to copy or to send from here on.
import { callAs, people, queries } from "./caller.js";

const made = (tag, properties) => Object.assign(document.createElement(tag), properties);

async function copy(button, text) {
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy token"), 1500);
}

for (const person of people) {
  const item = made("li");
  const copying = made("button", { type: "button", textContent: "Copy token" });
  copying.addEventListener("click", () => copy(copying, person.token));
  const shown = made("details");
  shown.append(made("summary", { textContent: "Show" }), made("code", { textContent: person.token }));
  const who = made("p");
  who.append(made("b", { textContent: person.roles.join(", ") }), ` as ${person.user}. ${person.may}`);
  item.append(who, copying, shown);
  document.querySelector("#people ul").append(item);
}
document.getElementById("people").hidden = people.length === 0;

// A query is opened with the token of one who may send it.
for (const link of document.querySelectorAll(".tasks a"))
  link.addEventListener("click", () => {
    const { by } = queries.find(({ name }) => link.hash === `#${name}`);
    if (people.length) callAs(by);
  });
