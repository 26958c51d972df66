// Draws the charts of a page from the specifications that stand in it, in the reader's colours, and applies a choice at once.
const script = document.querySelector("script[data-vega]");
const themes = JSON.parse(document.getElementById("themes").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

function load(address) {
  return new Promise((done, failed) => {
    const element = document.createElement("script");
    Object.assign(element, { src: address, type: "module", onload: done, onerror: failed });
    document.head.append(element);
  });
}

async function draw(chart) {
  const { textContent } = chart.querySelector("script");
  let place = chart.querySelector("div");
  if (!place) {
    place = document.createElement("div");
    place.ariaHidden = "true"; // the element around it says what the chart shows
    chart.append(place);
  }
  const spec = JSON.parse(textContent);
  if (spec.hconcat && chart.clientWidth < 600) {
    spec.vconcat = spec.hconcat; // side by side needs room
    delete spec.hconcat;
  }
  await window.vegaEmbed(place, spec, {
    actions: false,
    ast: true, // expressions are interpreted, so that no page needs eval
    config: themes[dark.matches ? "dark" : "light"],
    defaultStyle: false,
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  });
  chart.classList.add("drawn");
}

async function drawAll() {
  for (const chart of document.querySelectorAll(".chart")) await draw(chart);
  document.documentElement.dataset.drawn = "yes";
}

const stale = document.getElementById("stale");
stale.hidden = Date.now() - Date.parse(stale.dataset.processed) <= stale.dataset.hours * 3_600_000;

for (const select of document.querySelectorAll(".filters select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
for (const form of document.querySelectorAll(".filters")) {
  // What is not chosen does not stand in the address.
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) {
      const usual = { area: "", issue: "", period: "last_12_months", scope: "all" };
      if (value === usual[name]) formData.delete(name);
    }
  });
}
if (document.querySelector(".chart")) {
  await load(script.dataset.vega);
  await drawAll();
  dark.addEventListener("change", drawAll);
}
