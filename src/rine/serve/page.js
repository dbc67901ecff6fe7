// The page of `rine serve`: pictures in, a verdict for each, its evidence when asked for. No library, no network.
"use strict";

const COLUMNS = ["path", "verdict", "probability", "logit", "model", "crops", "seconds", "error"];
const AT_ONCE = 4; // requests under way: enough to fill the server's batch, few enough to show progress
const TRIES = 8; // for a server whose queue is full

const $ = (id) => document.getElementById(id);
const rows = []; // in the order in which pictures came: {file, item, result}
const waiting = [];
let underWay = 0;
let done = 0;
let limits = { upload_mb: Infinity, pixels: Infinity };

const percent = (p) => `${(100 * p).toFixed(1)} %`;

function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

// ---------------------------------------------------------------- talking to the server

class Refused extends Error {}

async function post(path, field, file) {
  for (let attempt = 1; ; attempt++) {
    const body = new FormData();
    body.append(field, file, file.name || "pasted picture");
    let answer;
    try {
      answer = await fetch(`${path}?crops=${$("crops").value}`, { method: "POST", body });
    } catch {
      throw new Refused("the server does not answer; is rine serve still running?");
    }
    if (answer.status === 429 && attempt < TRIES) {
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      await new Promise((resume) => setTimeout(resume, 1000 * seconds));
      continue;
    }
    const content = await answer.json().catch(() => ({}));
    if (content.results || answer.ok) return content;
    throw new Refused(typeof content.detail === "string" ? content.detail : `the server answered with status ${answer.status}`);
  }
}

async function judge(file) {
  const row = { path: file.name || "pasted picture", verdict: null, error: null };
  if (file.size > 1e6 * limits.upload_mb) return { ...row, error: `larger than the ${limits.upload_mb} MB that are allowed` };
  try {
    return (await post("predict", "files", file)).results[0];
  } catch (error) {
    return { ...row, error: error instanceof Refused ? error.message : `the page failed: ${error}` };
  }
}

// ---------------------------------------------------------------- the list

function add(files) {
  if (!files.length) return;
  for (const file of files) {
    const item = $("row").content.firstElementChild.cloneNode(true);
    const row = { file, item, url: URL.createObjectURL(file), result: null };
    const picture = item.querySelector("img");
    picture.addEventListener("error", () => picture.parentElement.classList.add("none"));
    picture.src = row.url;
    item.querySelector("h3").textContent = file.name || "pasted picture";
    item.querySelector("details").addEventListener("toggle", (event) => event.target.open && showEvidence(row));
    rows.push(row);
    waiting.push(row);
    $("results").append(item);
  }
  $("heading").hidden = false;
  $("clear").disabled = false;
  count();
  while (underWay < AT_ONCE && waiting.length) work();
}

async function work() {
  underWay++;
  while (waiting.length) {
    const row = waiting.shift();
    row.item.querySelector(".badge").textContent = "looking";
    row.result = await judge(row.file);
    if (rows.includes(row)) {
      done++;
      show(row);
      count();
    }
  }
  underWay--;
}

function show({ item, result }) {
  const failed = result.error !== null;
  item.classList.add(failed ? "failed" : result.verdict, "judged");
  item.querySelector(".badge").textContent = failed ? "unreadable" : result.verdict;
  item.querySelector(".figures").textContent = failed
    ? result.error
    : `probability of being synthetic ${percent(result.probability)}, logit ${result.logit.toFixed(2)}`;
  item.querySelector("details").hidden = failed;
  if (failed) item.querySelector(".meter").remove();
  else item.querySelector(".meter span").style.width = `${100 * result.probability}%`;
}

let spoken = 0;
function count() {
  const all = rows.length;
  $("work").hidden = all === 0 || done === all;
  $("progress").max = all || 1;
  $("progress").value = done;
  $("counted").textContent = `${done} of ${all} judged`;
  $("download").disabled = done === 0;
  // Not every picture: a screen reader would do nothing but count
  if (all && (done === all || Date.now() - spoken > 4000)) {
    spoken = Date.now();
    $("status").textContent = done === all ? summary() : `${done} of ${all} judged`;
  }
}

function summary() {
  const n = {};
  for (const { result } of rows) {
    const kind = result.error === null ? result.verdict : "unreadable";
    n[kind] = (n[kind] || 0) + 1;
  }
  const parts = Object.entries(n).map(([kind, number]) => `${number} ${kind}`);
  return `Done: ${rows.length} ${rows.length === 1 ? "picture" : "pictures"}, ${parts.join(", ")}`;
}

function clear() {
  for (const row of rows) URL.revokeObjectURL(row.url);
  rows.length = waiting.length = done = 0;
  $("results").replaceChildren();
  $("heading").hidden = $("clear").disabled = true;
  count();
  $("status").textContent = "The list is empty";
  $("choose").focus();
}

// ---------------------------------------------------------------- CSV

function field(value) {
  if (value === null || value === undefined) return "";
  let text = typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
  // A name that begins like a formula must not become one when a spreadsheet opens the file
  if (typeof value === "string" && /^[=+@\t\r-]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function download() {
  const judged = rows.filter((row) => row.result);
  const lines = [COLUMNS.join(","), ...judged.map(({ result }) => COLUMNS.map((name) => field(result[name])).join(","))];
  const url = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  const link = element("a", { href: url, download: "verdicts.csv" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// ---------------------------------------------------------------- evidence

async function showEvidence(row) {
  if (row.evidence) return;
  row.evidence = true;
  const place = row.item.querySelector(".evidence");
  place.replaceChildren(element("p", { text: "Looking closer …" }));
  $("status").textContent = "Gathering evidence";
  try {
    const found = await post("explain", "file", row.file);
    place.replaceChildren(
      element("h4", { text: "Where" }), ...map(found, row),
      element("h4", { text: `After mild changes: ${found.stability}` }), ...changes(found),
      element("details", { class: "inner" }, element("summary", { text: "Details: layers of the encoder" }), ...blocks(found)),
      ...origin(found),
    );
    $("status").textContent = `Evidence: ${found.stability}`;
  } catch (error) {
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
function middles(starts, size) {
  const places = [...new Set(starts)].sort((a, b) => a - b);
  return new Map(places.map((start, i) => {
    const before = i ? Math.max(start, (start + places[i - 1] + size) / 2) : start;
    const after = i + 1 < places.length ? Math.min(start + size, (start + places[i + 1] + size) / 2) : start + size;
    return [start, (before + after) / 2];
  }));
}

// Squares where crops lie, and nothing where nobody looked: what `rine explain` draws
function map({ map: cells, judged, width, height, looked_at: words }, row) {
  const overlay = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const { size } = cells[0];
  const across = middles(cells.map((cell) => cell.left), size);
  const down = middles(cells.map((cell) => cell.top), size);
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
  const frame = element("div", { class: "map" }, element("img", { src: row.url, alt: caption }), overlay);
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

// What one has to know who was not there
function origin({ origin: from }) {
  const facts = [
    `SHA-256 of the file ${from.sha256}`,
    `judged on ${from.date} by rine ${from.version} on ${from.encoder}`,
    `the model learnt from ${from.trained_on}`,
    ...from.cautions.map((caution) => `caution: ${caution}`),
  ];
  return [element("h4", { text: "To pass on" }), element("ul", { class: "small" }, ...facts.map((text) => element("li", { text })))];
}

// ---------------------------------------------------------------- ways in

// Folders that are dropped give all the files in them
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const loose = [...transfer.files];
  if (!entries.some((entry) => entry.isDirectory)) return loose;
  const files = [];
  for (const entry of entries) await walk(entry, files);
  return files;
}

async function walk(entry, files) {
  if (entry.isFile) {
    files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const inner of some.sort((a, b) => (a.name < b.name ? -1 : 1))) if (!inner.name.startsWith(".")) await walk(inner, files);
  }
}

async function start() {
  $("choose").addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = ""; // so that the same picture can be chosen again
  });
  $("clear").addEventListener("click", clear);
  $("download").addEventListener("click", download);
  addEventListener("paste", (event) => add([...event.clipboardData.files]));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dragging"));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    add(await dropped(event.dataTransfer));
  });
  const model = await (await fetch("model")).json();
  limits = model.limits;
  $("limits").textContent = `up to ${limits.upload_mb} MB and ${Math.floor(limits.pixels / 1e6)} megapixels each`;
  $("model").textContent = `Model ${model.name} on ${model.encoder}, rine ${model.version}; trained on ${model.classes.join(", ") || "all classes"}.`;
  $("about").textContent = model.about;
  $("about").hidden = !model.about;
}

start();
