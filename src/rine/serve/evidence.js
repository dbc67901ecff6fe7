// The evidence of one picture, as `rine explain` draws it; used by page.js.
"use strict";

async function showEvidence(row) {
  if (row.evidence) return;
  row.evidence = true;
  const { signal } = turn;
  const place = row.item.querySelector(".evidence");
  place.replaceChildren(element("p", { text: "Looking closer …" }));
  $("status").textContent = "Gathering evidence";
  try {
    const found = await post("explain", "file", row.file, signal);
    if (signal.aborted) return;
    place.replaceChildren(
      element("h4", { text: "Where" }), ...map(found, row),
      element("h4", { text: `After mild changes: ${found.stability}` }), ...changes(found),
      element("details", { class: "inner" }, element("summary", { text: "Details: layers of the encoder" }), ...blocks(found)),
      ...origin(found), saving(row),
    );
    $("status").textContent = `Evidence: ${found.stability}`;
  } catch (error) {
    if (signal.aborted) return;
    row.evidence = false; // opening it again tries again
    place.replaceChildren(element("p", { text: `No evidence: ${error.message}` }));
    $("status").textContent = `No evidence: ${error.message}`;
  }
}

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Where a crop's number stands on one axis: in the middle of what lies nearer to it than to its neighbours
function middles(starts, size, side) {
  const places = [...new Set(starts)].sort((a, b) => a - b);
  return new Map(places.map((start, i) => {
    const before = i ? Math.max(start, (start + places[i - 1] + size) / 2) : start;
    const after = i + 1 < places.length ? Math.min(start + size, (start + places[i + 1] + size) / 2) : Math.min(start + size, side);
    return [start, (before + after) / 2];
  }));
}

// Squares where crops lie, and nothing where nobody looked: what `rine explain` draws
function map({ map: cells, judged, width, height, looked_at: words }, row) {
  const overlay = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const { size } = cells[0];
  const across = middles(cells.map((cell) => cell.left), size, width);
  const down = middles(cells.map((cell) => cell.top), size, height);
  for (const { left, top, probability } of cells) {
    const fill = probability >= 0.5 ? "#d1360f" : "#1462c4";
    const strength = 0.08 + 0.9 * Math.abs(probability - 0.5);
    overlay.append(svg("rect", { x: left, y: top, width: size, height: size, fill, class: "crop", "fill-opacity": strength.toFixed(3) }));
  }
  for (const { left, top } of judged) overlay.append(svg("rect", { x: left, y: top, width: size, height: size, class: "judged" }));
  for (const { left, top, probability } of cells) {
    const letters = Math.min(size / 4, Math.max(width, height) / 22);
    const text = svg("text", { x: across.get(left), y: down.get(top), "font-size": letters, "stroke-width": letters / 6 });
    text.textContent = Math.round(100 * probability);
    overlay.append(text);
  }
  const all = cells.map((cell) => cell.probability);
  const range = all.length > 1 ? `from ${percent(Math.min(...all))} to ${percent(Math.max(...all))}` : percent(all[0]);
  const caption = `Probability of being synthetic over ${all.length} ${all.length === 1 ? "crop" : "crops"}: ${range}`;
  const picture = element("img", { src: row.url, alt: caption });
  // a format that the browser cannot show (HEIC): an empty sheet of the picture's shape under the squares
  picture.addEventListener("error", () => picture.replaceWith(element("canvas", { width, height, role: "img", "aria-label": caption })));
  const frame = element("div", { class: "map" }, picture, overlay);
  return [frame, element("p", { class: "small", text: `${caption}. Red speaks for synthetic, blue for real. ${words}` })];
}

// Columns are [name, class]
function table(head, body) {
  const header = element("tr", {}, ...head.map(([text, kind = ""]) => element("th", { scope: "col", text, class: kind })));
  return element("div", { class: "scroll" },
    element("table", {}, element("thead", {}, header), element("tbody", {}, ...body)));
}

function changes({ changes: all, verdict }) {
  const different = all.filter((change) => change.verdict !== verdict.verdict);
  const words = different.length
    ? `Another verdict after: ${different.map((change) => `${change.name} (${change.verdict})`).join("; ")}.`
    : "Another verdict after none of them.";
  const body = all.map((change) => element("tr", {},
    element("th", { scope: "row", text: change.name }),
    element("td", { text: change.verdict, class: change.verdict === verdict.verdict ? "" : "changed" }),
    element("td", { text: percent(change.probability), class: "number" })));
  const list = table([["change"], ["verdict"], ["probability", "number"]], body);
  return [element("p", { text: words }),
    element("details", { class: "inner" }, element("summary", { text: `All ${all.length} changes` }), list)];
}

function blocks({ blocks: all }) {
  const most = Math.max(...all.map((block) => block.weight));
  const body = all.map(({ block, weight, change }) => {
    const bar = element("span");
    bar.style.width = `${(100 * weight) / most}%`;
    const effect = change === null ? "unknown" : `${change >= 0 ? "+" : "−"}${Math.abs(change).toPrecision(3)}`;
    return element("tr", {}, element("th", { scope: "row", text: block }),
      element("td", { text: percent(weight), class: "number" }), element("td", { class: "share" }, bar),
      element("td", { text: effect, class: "number" }));
  });
  const words = "The weight is the block's mean share in the importance estimator. The effect is what the logit loses when " +
    "the block shows the mean of the training pictures: above zero it speaks for synthetic.";
  return [table([["block"], ["weight", "number"], [""], ["effect", "number"]], body), element("p", { class: "small", text: words })];
}

function saving(row) {
  const button = element("button", { type: "button", class: "save", text: "Save this evidence" });
  button.addEventListener("click", () => save(row).catch(() => {
    button.textContent = "Not saved: the picture cannot be read any more";
  }));
  return button;
}

// What one has to know who was not there
function origin({ origin: from, verdict: { provenance, remark } }) {
  const facts = [
    ...(provenance ? [`the file itself, which is no part of the verdict: ${provenance.words}`] : []),
    ...(remark ? [`caution: ${remark}`] : []),
    `SHA-256 of the file ${from.sha256}`,
    `judged on ${from.date} by rine ${from.version} on ${from.encoder}`,
    `the model learnt from ${from.trained_on}`,
    ...from.cautions.map((caution) => `caution: ${caution}`),
  ];
  return [element("h4", { text: "To pass on" }), element("ul", { class: "small" }, ...facts.map((text) => element("li", { text })))];
}

// One file that needs no other, with the picture in it
async function save(row) {
  const styles = [...document.styleSheets[0].cssRules].map((rule) => rule.cssText).join("\n");
  const bytes = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(row.file);
  });
  const copy = row.item.cloneNode(true);
  for (const image of copy.querySelectorAll("img")) image.src = bytes;
  for (const details of copy.querySelectorAll("details")) details.setAttribute("open", "");
  for (const button of copy.querySelectorAll("button")) button.remove();
  // as text: a document made here would be under this page's policy, which lets no style in
  const parts = ['<!doctype html><meta charset="utf-8"><title>rine: evidence</title><style>', styles, "</style>"];
  offer(new Blob([...parts, '<ul id="results">', copy.outerHTML, "</ul>"], { type: "text/html" }), `${row.result.path}.evidence.html`);
}
