// Puts the charts into a page that is whole without them, tells what a mark stands for, sorts tables, copies what is to be quoted.
const narrow = 440, full = 800; // pixels below which a chart is drawn for a phone, and from which for the whole width
const attempts = 5;

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

/** A chart as the server drew it: its colours are the page's, so that the style sheet decides, on paper, too. */
async function draw(chart) {
  const room = chart.clientWidth < narrow ? "narrow" : chart.clientWidth < full ? "wide" : "full";
  const address = new URL(chart.dataset.picture, location);
  address.searchParams.append("mode", room);
  let answer = await fetch(address);
  for (let attempt = 1; answer.status === 503 && attempt < attempts; attempt += 1) {
    await pause(Number(answer.headers.get("Retry-After")));
    answer = await fetch(address);
  }
  if (!answer.ok) {
    chart.replaceChildren("This chart can’t be drawn now. Its numbers are in the table.");
    return;
  }
  const picture = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  picture.setAttribute("aria-hidden", "true"); // the element around it says what the chart shows
  chart.replaceChildren(picture);
  chart.classList.add("drawn");
}

/** What is pointed at says what it stands for, until something else is, or Escape. */
function tellMarks() {
  const tip = document.createElement("p");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  document.addEventListener("pointerover", ({ target, clientX, clientY }) => {
    const mark = target.closest(".chart svg [aria-label]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.getAttribute("aria-label");
    tip.style.left = `${Math.max(8, Math.min(clientX + 12, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(8, clientY - tip.offsetHeight - 12)}px`;
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") tip.hidden = true;
  });
}

/** What a cell is sorted by: its number, if it begins with one that is no date and no range. */
function rank(cell) {
  const text = cell.textContent.trim();
  if (text === "the same day") return 0;
  const number = /^[−+]?[\d,]*\.?\d+(?![\d.-])/.exec(text);
  return number ? Number(number[0].replaceAll(",", "").replace("−", "-")) : text;
}

function order(one, other) {
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return typeof one === "number" ? one - other : one.localeCompare(other);
}

/** Each heading of a table becomes a button that sorts by its column: numbers the greatest first, and what has none last. */
function sortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  const [body] = table.tBodies;
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const numbers = !heading.classList.contains("text");
      const before = heading.ariaSort ?? (numbers ? "ascending" : "descending");
      for (const each of headings) each.ariaSort = null;
      heading.ariaSort = before === "ascending" ? "descending" : "ascending";
      const sign = heading.ariaSort === "ascending" ? 1 : -1;
      const ranked = [...body.rows].map((row) => ({ row, by: rank(row.cells[column]) }));
      ranked.sort((one, other) => order(one.by, other.by) * (typeof one.by === typeof other.by ? sign : 1));
      body.append(...ranked.map(({ row }) => row));
    });
  });
}

/** A button beside what is to be copied: a link's whole address, or a text; a code that names us does so by our whole address. */
function copiable(part) {
  if (part.matches("code")) part.textContent = part.textContent.replace('src="/', `src="${location.origin}/`);
  for (const link of part.querySelectorAll("a")) link.textContent = link.href;
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy the ${part.dataset.copy}`);
  const told = document.createElement("span");
  told.role = "status";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(part.href ?? part.textContent);
    told.textContent = " Copied";
  });
  part.after(" ", button, told);
}

/** Where the reader is, asked only when he says so, put into the form as a point. */
function locate(button) {
  button.hidden = !navigator.geolocation;
  button.addEventListener("click", () => {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        button.form.near.value = `${coords.latitude.toFixed(5)},${coords.longitude.toFixed(5)}`;
        button.form.requestSubmit();
      },
      () => { button.textContent = "Your location can’t be told: enter an address"; },
    );
  });
}

const stale = document.getElementById("stale");
if (stale) stale.hidden = Date.now() - Date.parse(stale.dataset.processed) <= stale.dataset.hours * 3_600_000;

for (const form of document.querySelectorAll(".filters")) {
  // What is not chosen does not stand in the address.
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) {
      const usual = { area: "", issue: "", period: "last_12_months", scope: "all" };
      if (value === usual[name]) formData.delete(name);
    }
  });
}
// Lists of requests and indexes are sorted by the server.
document.querySelectorAll("table:not(.sheet table, :has(thead a, tbody th a[href^='/requests/']))").forEach((table) => table.tBodies[0]?.rows.length > 1 && sortable(table));
if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach(copiable);
document.querySelectorAll("[data-locate]").forEach(locate);
const charts = document.querySelectorAll(".chart[data-picture]");
if (charts.length) tellMarks();
for (const chart of charts) await draw(chart); // one after another: each has a place in the server's queue
performance.mark("drawn");
document.documentElement.dataset.drawn = "yes";
