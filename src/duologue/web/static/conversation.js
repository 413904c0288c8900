// One conversation: walking by keys, the rest of a long one as it is scrolled to, its strip.
import { key } from "/static/room.js";

const holder = document.getElementById("turns");
const strip = document.getElementById("strip");
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const OFFSET = 96;

export const all = () => [...document.querySelectorAll("#turns > .turn")];

/** The turn that is being read: the last one whose beginning is above the upper third. */
export function current() {
  const line = innerHeight / 3;
  let found = null;
  for (const turn of all()) {
    if (turn.getBoundingClientRect().top > Math.max(line, OFFSET + 8)) break;
    found = turn;
  }
  return found ?? all()[0] ?? null;
}

let here = null;
export function mark(turn) {
  if (turn === here) return;
  here?.classList.remove("here");
  strip.querySelector(".here")?.classList.remove("here");
  here = turn;
  if (!turn) return;
  turn.classList.add("here");
  const number = Number(turn.id.slice(1));
  const cells = strip.firstElementChild.children;
  for (const cell of cells) {
    if (Number(cell.firstElementChild.dataset.last) >= number) { cell.classList.add("here"); break; }
  }
}

let led = false; // a key or a link has said which turn is read, and nobody has scrolled away since

/** Whether the turn that is marked stands where a key or a link puts it, or as near as the page's end lets it. */
function placed() {
  const page = document.documentElement;
  const below = here.getBoundingClientRect().top - parseFloat(getComputedStyle(page).scrollPaddingTop);
  const end = page.scrollHeight - innerHeight - scrollY < 2;
  return Math.abs(below) < 2 || (below > 0 && end);
}

let due = false;
addEventListener("scroll", () => {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    led &&= placed();
    if (!led) mark(current());
  });
}, { passive: true });

export function go(turn) {
  if (!turn) return;
  led = true;
  turn.scrollIntoView({ behavior: calm ? "auto" : "instant", block: "start" });
  turn.focus({ preventScroll: true });
  mark(turn);
}

function step(by) {
  const turns = all();
  const from = here ?? current();
  const next = turns[turns.indexOf(from) + by];
  const part = document.querySelector(by > 0 ? "#later a" : "#earlier a");
  if (next) go(next);
  else if (part && from) location.href = `${part.href}#t${Number(from.id.slice(1)) + by}`;
}

function leap(by) {
  const turns = all();
  let at = turns.indexOf(here ?? current()) + by;
  const quiet = (turn) => !turn || turn.classList.contains("is-talk");
  const kind = (turn) => [...(turn?.classList ?? [])].find((name) => name.startsWith("is-"));
  while (turns[at] && (quiet(turns[at]) || kind(turns[at]) === kind(turns[at - 1]))) at += by;
  if (turns[at]) go(turns[at]);
}

key("j", () => step(1));
key("k", () => step(-1));
key("n", () => leap(1));
key("p", () => leap(-1));
key("g", () => { if (document.getElementById("earlier")) location.href = location.pathname; else { scrollTo(0, 0); mark(all()[0]); } });
key("G", () => {
  if (document.getElementById("later")) location.href = `/c/${holder.dataset.conv}/${holder.dataset.turns}`;
  else go(all().at(-1));
});
key("r", () => {
  const turn = here ?? current();
  location.href = document.getElementById("raw").href + (turn ? `#${turn.id}` : "");
});
key("s", () => { (here ?? current())?.querySelector(".saw")?.click(); });
key("b", () => { document.getElementById("branches")?.click(); });
key("o", () => {
  const turn = here ?? current();
  const folded = turn?.querySelector(".reasoning") ?? turn?.querySelector("details");
  if (folded) folded.open = !folded.open;
});

// A cell whose turn is on the page leads there without asking the server again.
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element && event.target.closest(`a[href^="/c/${holder.dataset.conv}/"]`);
  const number = link && /\/(\d+)$/.exec(link.pathname)?.[1];
  const turn = number && document.getElementById(`t${number}`);
  if (!turn || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", `#t${number}`);
  go(turn);
});

// The next part of a long conversation, when its reader comes near the end of this one.
const watcher = new IntersectionObserver((seen) => {
  if (seen.some((each) => each.isIntersecting)) more();
}, { rootMargin: "1500px" });

let asking = false;
async function more() {
  const link = document.querySelector("#later a");
  if (!link || asking) return;
  asking = true;
  try {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    holder.append(...page.getElementById("turns").children);
    const next = page.getElementById("later");
    watcher.disconnect();
    if (next) { link.parentElement.replaceWith(next); watcher.observe(next); }
    else end(link, page);
  } finally { asking = false; }
}

// The last part is there: if the conversation is still being held, it is followed from here on.
function end(link, page) {
  Object.assign(holder.dataset, page.getElementById("turns").dataset, { reached: "yes" });
  link.parentElement.replaceWith(page.getElementById("typing"), page.getElementById("close"));
  import("/static/live.js");
}

const later = document.getElementById("later");
if (later) watcher.observe(later);

// Whoever came by a permanent link reads that turn, wherever the browser has put it.
const came = document.getElementById(location.hash.slice(1));
if (came?.matches(".turn")) { led = true; mark(came); }
if (!document.getElementById("later")) import("/static/live.js");
