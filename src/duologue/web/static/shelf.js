// Walking lists, grids, pairs and trees by keys; filters that answer at once; a run that counts on.
import { key } from "/static/room.js";

let here = null;
const rows = () => [...document.querySelectorAll(".book, td.heat, .row")];

function go(row) {
  if (!row) return;
  here?.classList.remove("here");
  here = row;
  row.classList.add("here");
  (row.querySelector(".open") ?? row).focus({ preventScroll: true });
  row.scrollIntoView({ block: row.matches(".row") ? "start" : "nearest" });
}
const step = (by) => {
  const all = rows();
  const at = all.indexOf(here);
  // Whoever has opened a cell goes on among its conversations.
  const first = Math.max(0, all.indexOf(document.querySelector("#cell:target .book")));
  go(all[at < 0 ? first : Math.max(0, at + by)]);
};
document.addEventListener("focusin", (event) => {
  const row = event.target.closest?.(".book, td.heat, .row");
  if (!row || row === here) return;
  here?.classList.remove("here");
  here = row;
  row.classList.add("here");
});

key("j", () => step(1));
key("k", () => step(-1));
key("n", () => document.getElementById("older")?.click());
key("u", () => {
  const depth = (row) => Number(/depth-(\d+)/.exec(row?.className ?? "")?.[1] ?? 0);
  const all = rows();
  for (let at = all.indexOf(here) - 1; at >= 0; at -= 1) {
    if (depth(all[at]) < depth(here)) { go(all[at]); return; }
  }
});

let chosen = null;
const id = (row) => new URL(row.querySelector(".open").href).pathname.split("/")[2];
key("c", () => {
  const against = here?.querySelector(".against");
  if (against) { against.click(); return; }
  if (!here?.matches("tr.book") || !here.querySelector(".open[href^='/c/']")) return;
  if (!chosen || chosen === here) {
    chosen = chosen ? null : here;
    here.classList.toggle("chosen");
  } else {
    location.href = `/compare?left=${id(chosen)}&right=${id(here)}`;
  }
});

document.querySelector(".tree .current") && go(document.querySelector(".tree .current"));
for (const select of document.querySelectorAll(".filters select, #metric")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
// Empty fields stay out of the address.
document.querySelector(".find")?.addEventListener("submit", (event) => {
  for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll(".find [disabled]")) field.disabled = false;
});

// Whoever came to search, from another page, may type at once.
if (location.hash === "#words") document.getElementById("words")?.focus();

// What may have changed since the page was made, each with what it was when it was last asked for.
const PARTS = new Map([".sums", ".grid", "#cell", "#found"].map((part) => [part, document.querySelector(part)?.outerHTML]));

// The same page, as it is now. Whoever stands in a row, or has marked one, finds it again.
function renew(page) {
  const [at, marked] = [here, chosen].map((row) => row?.querySelector(".open")?.href);
  const focused = here?.contains(document.activeElement);
  const changed = [...PARTS].filter(([part, was]) => page.querySelector(part)?.outerHTML !== was);
  for (const [part] of changed) {
    const fresh = page.querySelector(part);
    PARTS.set(part, fresh?.outerHTML);
    document.querySelector(part)?.replaceWith(fresh ?? "");
  }
  const sheet = document.querySelector(".sheet");
  const waits = sheet.dataset.again;
  sheet.dataset.again = page.querySelector(".sheet").dataset.again;
  if (!Number(waits)) again();
  if (!changed.length) return;
  const found = (href) => rows().find((row) => href && row.querySelector(".open")?.href === href) ?? null;
  [here, chosen] = [found(at), found(marked)];
  here?.classList.add("here");
  chosen?.classList.add("chosen");
  if (focused) here?.querySelector(".open").focus({ preventScroll: true });
}

async function ask(address, signal) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, signal });
  if (!answer.ok) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// Who pauses in typing sees what is found; Enter asks for it as a page of its own.
const find = document.querySelector(".find");
let asked = null;
async function seek() {
  asked?.abort();
  asked = new AbortController();
  const query = new URLSearchParams([...new FormData(find)].filter(([, value]) => value));
  const address = `/?${query}`;
  try {
    const page = await ask(address, asked.signal);
    history.replaceState(null, "", address);
    renew(page);
  } catch { /* other words were typed meanwhile, or the room is closed: Enter asks again */ }
}
let soon = 0;
find?.querySelector("[type=search]").addEventListener("input", () => {
  clearTimeout(soon);
  soon = setTimeout(seek, 200);
});
find?.addEventListener("submit", () => { clearTimeout(soon); asked?.abort(); });

// While something is being held, or its log taken in, the page asks again as long as it is looked at.
function again() {
  const wait = Number(document.querySelector(".sheet")?.dataset.again);
  if (wait) setTimeout(look, wait);
}
async function look() {
  const address = location.href;
  try {
    const page = document.hidden ? null : await ask(address);
    if (page && location.href === address) renew(page);
  } catch { /* the room is closed for a moment: the next try comes */ }
  again();
}
again();
