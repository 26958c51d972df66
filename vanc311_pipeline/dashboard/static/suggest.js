// Suggests what may be meant while it is typed into the search field: ARIA's combobox. Without this script the field finds all the same.
const shortest = 2;
const wait = 150; // milliseconds without another key before the server is asked

const field = document.getElementById("find");
const list = document.createElement("ul");
Object.assign(list, { id: "suggestions", role: "listbox", ariaLabel: "Suggestions", hidden: true });
const count = Object.assign(document.createElement("span"), { className: "unseen", role: "status" });
let active = -1;
let timer;

function choose(place) {
  active = place;
  [...list.children].forEach((option, at) => { option.ariaSelected = String(at === place); });
  if (place < 0) field.removeAttribute("aria-activedescendant");
  else field.setAttribute("aria-activedescendant", list.children[place].id);
}

function show(suggestions) {
  list.replaceChildren(...suggestions.map(({ name, kind, url }, place) => {
    const option = Object.assign(document.createElement("li"), { id: `suggestion-${place}`, role: "option" });
    option.dataset.url = url;
    option.append(name, Object.assign(document.createElement("span"), { textContent: ` ${kind}` }));
    return option;
  }));
  list.hidden = !suggestions.length;
  field.ariaExpanded = String(!list.hidden);
  count.textContent = suggestions.length ? `${suggestions.length} suggestion${suggestions.length === 1 ? "" : "s"}` : "";
  choose(-1);
}

async function ask() {
  const text = field.value;
  if (text.trim().length < shortest) return show([]);
  const answer = await fetch(`/find.json?${new URLSearchParams({ q: text })}`);
  const suggestions = answer.ok ? await answer.json() : [];
  return text === field.value && field === document.activeElement ? show(suggestions) : undefined;
}

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, wait);
});
field.addEventListener("keydown", (event) => {
  const last = list.children.length - 1;
  if (event.key === "Escape" && !list.hidden) show([]);
  else if (event.key === "ArrowDown" && !list.hidden) choose(active < last ? active + 1 : -1);
  else if (event.key === "ArrowUp" && !list.hidden) choose(active < 0 ? last : active - 1);
  else if (event.key === "Enter" && active >= 0) location.assign(list.children[active].dataset.url);
  else return;
  event.preventDefault();
});
field.addEventListener("blur", () => show([]));
list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus, and the list stays
list.addEventListener("click", ({ target }) => location.assign(target.closest("li").dataset.url));

field.autocomplete = "off";
Object.assign(field, { role: "combobox", ariaExpanded: "false", ariaAutoComplete: "list" });
field.setAttribute("aria-controls", list.id);
field.form.append(list, count);
