// What the page asks the server for, and what it knows of it; used by page.js and evidence.js.
"use strict";

const TRIES = 8; // for a server whose queue is full

let turn = new AbortController(); // of all that is asked for: another crop rule, another model and "Clear" end it
let model = null; // whose verdicts these are: a server may be started again with another
let thresholds = {}; // probabilities at which verdicts begin
let limits = {};
let described; // a promise of the last three: a picture that is dropped at once waits for them

// What is under way belongs to nobody from now on
function turnOver() {
  turn.abort();
  turn = new AbortController();
}

class Refused extends Error {}

async function ask(...request) {
  const answer = await fetch(...request).catch(() => {
    throw new Refused("the server does not answer; is rine serve still running?");
  });
  const [before, now] = [model, answer.headers.get("X-Rine-Model") ?? model];
  model = now;
  if (before !== null && before !== now) {
    described = undefined;
    again();
  }
  return answer;
}

async function post(path, field, file, signal) {
  for (let attempt = 1; ; attempt++) {
    const body = new FormData();
    body.append(field, file, file.name || "pasted picture");
    const answer = await ask(`${path}?crops=${$("crops").value}`, { method: "POST", body, signal }).catch(async (error) => {
      await file.slice(0, 1).arrayBuffer().catch(() => {
        throw new Refused("it cannot be read any more: it was changed or removed");
      });
      throw error;
    });
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

// The model's description; where it could not be had, it is asked for again
function known() {
  described ??= describe().catch((error) => {
    described = undefined;
    throw error;
  });
  return described;
}

async function describe() {
  const answer = await ask("model");
  if (!answer.ok) throw new Refused(`the server answered with status ${answer.status}`);
  const about = await answer.json();
  limits = about.limits;
  thresholds = about.thresholds;
  $("limits").textContent = `up to ${limits.upload_mb} MB and ${Math.floor(limits.pixels / 1e6)} megapixels each`;
  $("model").textContent = `Model ${about.name} on ${about.encoder}, rine ${about.version}; learnt from ${about.trained_on}.`;
  $("about").textContent = about.about;
  $("about").hidden = !about.about;
}
