// The page of `rine serve`: pictures in, a verdict for each, its evidence when asked for. No library, no network.
"use strict";

const COLUMNS = ["path", "verdict", "probability", "logit", "model", "crops", "seconds", "error", "remark", "low", "high"];
const AT_ONCE = 4; // requests under way: enough to fill the server's batch, few enough to show progress

const $ = (id) => document.getElementById(id);
const rows = []; // in the order in which pictures came: {file, url, item, result}
const waiting = [];
let underWay = 0;
let shown = ""; // the only kind that is shown

const percent = (p) => `${(100 * p).toFixed(1)} %`;

function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

async function judge(file, signal) {
  const row = { path: file.name || "pasted picture", verdict: null, error: null };
  try {
    await known();
    if (file.size > 1e6 * limits.upload_mb) return { ...row, error: `larger than the ${limits.upload_mb} MB that are allowed` };
    return (await post("predict", "files", file, signal)).results[0];
  } catch (error) {
    return { ...row, error: error instanceof Refused ? error.message : `the page failed: ${error}` };
  }
}

// ---------------------------------------------------------------- the list

function add(files) {
  if (!files.length) return;
  for (const file of files) {
    const row = { file, url: URL.createObjectURL(file) };
    unjudged(row);
    rows.push(row);
    waiting.push(row);
    $("results").append(row.item);
  }
  $("desk").hidden = false;
  $("clear").disabled = false;
  count();
  while (underWay < AT_ONCE && waiting.length) work();
}

// As it stands in the list before its verdict
function unjudged(row) {
  row.result = null;
  row.evidence = false;
  row.item = $("row").content.firstElementChild.cloneNode(true);
  const picture = row.item.querySelector("img");
  picture.addEventListener("error", () => picture.parentElement.classList.add("none"));
  picture.src = row.url;
  row.item.querySelector("h3").textContent = row.file.name || "pasted picture";
  row.item.querySelector("details").addEventListener("toggle", (event) => event.target.open && showEvidence(row));
}

// Another crop rule or model is another question: all that was judged is judged again
function again() {
  turnOver();
  for (const row of rows) {
    const { item } = row;
    unjudged(row);
    item.replaceWith(row.item);
  }
  waiting.splice(0, waiting.length, ...rows);
  count();
  while (underWay < AT_ONCE && waiting.length) work();
}

async function work() {
  underWay++;
  while (waiting.length) {
    const row = waiting.shift();
    const { signal } = turn;
    row.item.querySelector(".badge").textContent = "looking";
    const result = await judge(row.file, signal);
    if (signal.aborted) continue;
    row.result = result;
    show(row);
    count();
  }
  underWay--;
}

function show({ item, result }) {
  const failed = result.error !== null;
  item.classList.add(failed ? "failed" : result.verdict, "judged");
  item.querySelector(".badge").textContent = failed ? "unreadable" : result.verdict;
  const figures = item.querySelector(".figures");
  if (failed) figures.textContent = result.error;
  else figures.replaceChildren(element("span", { class: "percent", text: `probability of being synthetic ${percent(result.probability)}` }));
  item.querySelector(".remark").textContent = result.remark ?? "";
  item.querySelector("details").hidden = failed;
  item.querySelector(".meter").hidden = failed;
  if (failed) return;
  item.querySelector(".meter span").style.width = `${100 * result.probability}%`;
  const marks = Object.entries(thresholds).map(([kind, value]) => {
    const mark = element("i", { class: "mark", title: `${kind} ${kind === "real" ? "below" : "above"} ${percent(value)}` });
    mark.style.left = `${100 * value}%`;
    return mark;
  });
  item.querySelector(".meter").replaceChildren(item.querySelector(".meter span"), ...marks);
}

let spoken = 0;
function count() {
  const all = rows.length;
  const done = rows.filter((row) => row.result).length;
  $("work").hidden = all === 0 || done === all;
  $("progress").max = all || 1;
  $("progress").value = done;
  $("counted").textContent = `${done} of ${all} judged`;
  $("download").disabled = done === 0;
  arrange();
  // Not every picture: a screen reader would do nothing but count
  if (all && (done === all || Date.now() - spoken > 4000)) {
    spoken = Date.now();
    $("status").textContent = done === all ? summary() : `${done} of ${all} judged`;
  }
}

const kindOf = ({ result }) => (result === null ? "waiting" : result.error === null ? result.verdict : "unreadable");

// How many of each kind there are, as buttons that show them alone; the order that was asked for
function arrange() {
  const n = new Map(["synthetic", "inconclusive", "real", "unreadable", "waiting"].map((kind) => [kind, 0]));
  for (const row of rows) n.set(kindOf(row), n.get(kindOf(row)) + 1);
  if (!n.get(shown)) shown = "";
  const buttons = [["", rows.length], ...n].filter(([kind, number]) => number || !kind).map(([kind, number]) => {
    const button = element("button", { type: "button", "aria-pressed": kind === shown, text: `${kind || "all"} ${number}`, class: kind });
    button.addEventListener("click", () => { shown = kind; arrange(); $("kinds").querySelector('[aria-pressed="true"]').focus(); });
    return button;
  });
  const focused = $("kinds").contains(document.activeElement);
  $("kinds").replaceChildren(...buttons);
  if (focused) $("kinds").querySelector('[aria-pressed="true"]').focus();
  for (const row of rows) row.item.hidden = shown !== "" && kindOf(row) !== shown;
  const by = { added: () => 0, synthetic: (row) => -(row.result?.probability ?? -1), real: (row) => row.result?.probability ?? 2 }[$("sort").value];
  const wanted = [...rows].sort((a, b) => by(a) - by(b)).map((row) => row.item);
  // moving a row that stands where it should would close what is open in it
  if (wanted.some((item, i) => $("results").children[i] !== item)) $("results").replaceChildren(...wanted);
}

function summary() {
  const n = {};
  for (const row of rows) n[kindOf(row)] = (n[kindOf(row)] || 0) + 1;
  const parts = Object.entries(n).map(([kind, number]) => `${number} ${kind}`);
  return `Done: ${rows.length} ${rows.length === 1 ? "picture" : "pictures"}, ${parts.join(", ")}`;
}

function clear() {
  turnOver();
  for (const row of rows) URL.revokeObjectURL(row.url);
  rows.length = waiting.length = 0;
  $("results").replaceChildren();
  $("desk").hidden = $("clear").disabled = true;
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
  offer(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }), "verdicts.csv");
}

function offer(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
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

function start() {
  $("choose").addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = ""; // so that the same picture can be chosen again
  });
  $("clear").addEventListener("click", clear);
  $("download").addEventListener("click", download);
  $("crops").addEventListener("change", again);
  $("sort").addEventListener("change", arrange);
  $("numbers").addEventListener("change", (event) => document.body.classList.toggle("words", !event.target.checked));
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
  known().catch((error) => { $("limits").textContent = error.message; });
}

start();
