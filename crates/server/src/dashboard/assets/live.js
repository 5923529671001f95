// Keeps a page current: asks for each part (data-live) again, merges what changed, and turns moments into "4 min ago".
"use strict";

const EVERY_MS = 2000;
const SLOWEST_MS = 30000;
const TIMEOUT_MS = 10000;
const root = document.documentElement;
const stateText = document.getElementById("live-state");
const toggle = document.getElementById("live-toggle");
const announcer = document.getElementById("announcer");
const parts = [...document.querySelectorAll("[data-live]")].map((element) => ({ element, tag: null }));
// The server's clock counts: a wrong clock on this side would make every age wrong.
const skewMs = Date.parse(root.dataset.now) - Date.now();
let paused = false;
let waitMs = EVERY_MS;
let timer = 0;
let asking = false;

// Attributes that belong to the reader (a filtered row, an opened detail), not to the server.
const OURS = new Set(["hidden", "open", "title"]);

/** Makes `old` equal to `fresh` and keeps every element that stays, so that focus and selection survive. */
function merge(old, fresh) {
  if (old.nodeName === "TIME" && old.dateTime === fresh.dateTime) return;
  for (const { name, value } of fresh.attributes) {
    if (!OURS.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!OURS.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  mergeChildren(old, fresh);
}

function mergeChildren(old, fresh) {
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  const staying = new Set([...fresh.children].map((child) => child.id));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    while (at && at.id && !staying.has(at.id)) at = removed(at);
    const match = next.id ? known.get(next.id) : at && !at.id && at.nodeName === next.nodeName ? at : null;
    if (!match) {
      old.insertBefore(next, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    if (match.nodeType === Node.ELEMENT_NODE) merge(match, next);
    else if (match.data !== next.data) match.data = next.data;
  }
  while (at) at = removed(at);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

async function refresh(part) {
  const headers = part.tag ? { "If-None-Match": part.tag } : {};
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const answer = await fetch(part.element.dataset.live, { headers, signal, cache: "no-store", redirect: "error" });
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const fresh = document.createElement("template");
  fresh.innerHTML = await answer.text();
  const before = new Set([...part.element.querySelectorAll("[data-announce]")].map((item) => item.id));
  mergeChildren(part.element, fresh.content);
  label();
  filters.forEach((filter) => filter());
  part.tag = answer.headers.get("ETag");
  const news = [...part.element.querySelectorAll("[data-announce]")].filter((item) => !before.has(item.id));
  if (news.length) announcer.textContent = `New: ${news.map((item) => item.dataset.announce).join(". ")}.`;
  for (const item of news) item.classList.add("fresh");
}

async function round() {
  if (asking || paused || document.hidden) return;
  asking = true;
  try {
    for (const part of parts) await refresh(part);
    waitMs = EVERY_MS;
    show("live", `Live, ${clock()} UTC`);
  } catch {
    waitMs = Math.min(waitMs * 2, SLOWEST_MS);
    show("lost", `No answer since ${clock()} UTC, trying again`);
  }
  asking = false;
  clearTimeout(timer);
  timer = setTimeout(round, waitMs);
}

function show(state, text) {
  const same = state === "lost" && root.dataset.connection === "lost";
  root.dataset.connection = state;
  if (!same) stateText.textContent = text;
}

const clock = () => new Date(Date.now() + skewMs).toISOString().slice(11, 19);

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Writes moments as ages; the exact moment stays as the title. */
function label() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const seconds = Math.round((Date.parse(time.dateTime) - Date.now() - skewMs) / 1000);
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["s", 1];
    const amount = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
    const text = Math.abs(seconds) < 3 ? "now" : seconds < 0 ? `${amount} ago` : `in ${amount}`;
    time.title = time.dateTime;
    if (time.textContent !== text) time.textContent = text;
  }
}

/** Hides the rows that lack one of the words in the box; without words every row shows. */
const filters = [...document.querySelectorAll("[data-filter-for]")].map((box) => {
  const [input, output] = [box.querySelector("input"), box.querySelector("output")];
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.querySelectorAll(`#${box.dataset.filterFor} [data-row]`)];
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    const text = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
    if (output.textContent !== text) output.textContent = text;
  };
  input.addEventListener("input", apply);
  box.hidden = false;
  return apply;
});

toggle.addEventListener("click", () => {
  paused = !paused;
  toggle.setAttribute("aria-pressed", String(paused));
  if (paused) show("paused", `Paused at ${clock()} UTC`);
  round();
});
document.addEventListener("visibilitychange", round);
label();
setInterval(label, 10000);
if (parts.length) {
  toggle.hidden = false;
  round();
}
