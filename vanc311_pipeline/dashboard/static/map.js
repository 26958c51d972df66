// Maps of requests: drawn when a reader asks for one, above the city's streets, shore and parks, which come with the program.
// `data-points` of a `.map` is the address of a list as GeoJSON; the list on the page holds the same requests.
const { dataset } = document.querySelector("script[data-maplibre]");
const LISTED = 10; // requests in a popup
const MAX_ZOOM = 18;
const FONT = { "text-font": ["sans-serif"] }; // the reader's own: no glyphs are asked for

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function style(points) {
  const colours = getComputedStyle(document.documentElement);
  const colour = (name) => colours.getPropertyValue(`--${name}`).trim();
  const byZoom = (...stops) => ["interpolate", ["exponential", 1.6], ["zoom"], ...stops];
  const line = (source, name, ...stops) => ({ id: source, source, type: "line", paint: { "line-color": colour(name), "line-width": byZoom(...stops) } });
  const which = (overdue, open, other) => ["case", ["get", "overdue"], overdue, ["get", "open"], open, other];
  return {
    version: 8,
    sources: {
      ...Object.fromEntries(["parks", "streets", "shoreline"].map((name) => [name, { type: "geojson", data: dataset[name] }])),
      // Clustered at every zoom: an address has one point, however many requests are there.
      requests: { type: "geojson", data: points, cluster: true, clusterRadius: 40, clusterMaxZoom: MAX_ZOOM + 1, maxzoom: MAX_ZOOM + 2 },
    },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": colour("paper") } },
      { id: "parks", source: "parks", type: "fill", paint: { "fill-color": colour("park") } },
      line("streets", "rule", 11, 0.5, 18, 10),
      line("shoreline", "quiet", 11, 1, 18, 3),
      {
        id: "names", source: "streets", type: "symbol", minzoom: 14,
        layout: { ...FONT, "symbol-placement": "line", "text-field": ["get", "street"], "text-size": 12 },
        paint: { "text-color": colour("ink"), "text-halo-color": colour("paper"), "text-halo-width": 1.5 },
      },
      {
        id: "clusters", source: "requests", type: "circle", filter: ["has", "point_count"],
        paint: { "circle-color": colour("quiet"), "circle-radius": ["step", ["get", "point_count"], 12, 10, 15, 100, 19, 1000, 24] },
      },
      {
        id: "points", source: "requests", type: "circle", filter: ["!", ["has", "point_count"]],
        paint: {
          "circle-color": which(colour("late"), colour("mark"), colour("paper")), "circle-radius": which(8, 6, 5),
          "circle-stroke-color": which(colour("late"), colour("mark"), colour("mark")), "circle-stroke-width": 2,
        },
      },
      {
        id: "counts", source: "requests", type: "symbol", filter: ["has", "point_count"],
        layout: { ...FONT, "text-field": ["get", "point_count_abbreviated"], "text-size": 12, "text-allow-overlap": true },
        paint: { "text-color": colour("paper") },
      },
    ],
  };
}

function listed(features, number) {
  const items = features.map(({ properties: { id, name, address, state, overdue } }) =>
    element("li", {}, element("a", { href: `/requests/${id}`, textContent: name }), ` ${address} · ${state}${overdue ? ", overdue for its kind" : ""}`));
  const list = element("ul", {}, ...items);
  return number > items.length ? element("div", {}, list, `and ${number - items.length} more here`) : list;
}

async function opened(maplibre, map, feature) {
  const { cluster_id: cluster, point_count: number = 1 } = feature.properties;
  const center = feature.geometry.coordinates;
  let features = [feature];
  if (cluster !== undefined) {
    const requests = map.getSource("requests");
    const zoom = await requests.getClusterExpansionZoom(cluster);
    if (number > LISTED && zoom <= MAX_ZOOM) return map.easeTo({ center, zoom });
    features = await requests.getClusterLeaves(cluster, LISTED, 0);
  }
  return new maplibre.Popup({ maxWidth: "20rem" }).setLngLat(center).setDOMContent(listed(features, number)).addTo(map);
}

function counted({ requests, located, shown, bounded }) {
  const [all, some, few] = [requests, located, shown].map((number) => number.toLocaleString("en-CA"));
  return `${some} of ${bounded ? "the first " : ""}${all} have a location.${shown < located ? ` The first ${few} of them are shown.` : ""}`;
}

async function draw(place) {
  const [maplibre, answer] = await Promise.all([import(dataset.maplibre), fetch(place.dataset.points)]);
  if (!answer.ok) throw new Error(`${place.dataset.points} answered ${answer.status}`);
  const points = await answer.json();
  maplibre.setWorkerUrl(dataset.worker);
  document.head.append(element("link", { rel: "stylesheet", href: dataset.css }));
  const bounds = new maplibre.LngLatBounds();
  for (const { geometry } of points.features) bounds.extend(geometry.coordinates);
  place.prepend(element("div", { className: "canvas" }));
  const map = new maplibre.Map({
    container: place.firstChild,
    style: style(points),
    bounds: bounds.isEmpty() ? [-123.225, 49.198, -123.023, 49.315] : bounds,
    fitBoundsOptions: { padding: 40, maxZoom: 16 },
    maxZoom: MAX_ZOOM,
    attributionControl: false, // it stands below the map
    cooperativeGestures: true, // so that the page still scrolls
    dragRotate: false,
    canvasContextAttributes: { preserveDrawingBuffer: true }, // so that it can be printed
  });
  map.addControl(new maplibre.NavigationControl({ showCompass: false }));
  map.on("click", ["clusters", "points"], ({ features }) => opened(maplibre, map, features[0]));
  for (const media of ["print", "(prefers-color-scheme: dark)"]) {
    matchMedia(media).addEventListener("change", () => map.setStyle(style(points)).redraw());
  }
  await new Promise((done) => map.once("idle", done));
  place.querySelector("[role=status]").textContent = counted(points);
  place.dataset.drawn = points.shown;
}

for (const place of document.querySelectorAll(".map")) {
  const button = place.querySelector("button");
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.hidden = true;
    try {
      await draw(place);
    } catch (error) {
      place.querySelector("[role=status]").textContent = "The map can’t be drawn here. The list has the same requests.";
      throw error;
    }
  });
}
