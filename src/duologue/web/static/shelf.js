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

// Who pauses in typing sees what is found; Enter asks for it as a page of its own.
const find = document.querySelector(".find");
let asked = null;
async function seek() {
  asked?.abort();
  asked = new AbortController();
  const query = new URLSearchParams([...new FormData(find)].filter(([, value]) => value));
  const address = `/?${query}`;
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal: asked.signal });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("found").replaceWith(page.getElementById("found"));
    history.replaceState(null, "", address);
    here = null;
    chosen = null;
  } catch { /* other words were typed meanwhile, or the room is closed: Enter asks again */ }
}
let soon = 0;
find?.querySelector("[type=search]").addEventListener("input", () => {
  clearTimeout(soon);
  soon = setTimeout(seek, 200);
});
find?.addEventListener("submit", () => { clearTimeout(soon); asked?.abort(); });

// A run that is being held: the same page again, every other second, while somebody looks.
async function again() {
  const run = document.getElementById("run");
  if (!run || run.dataset.running !== "yes") return;
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("run");
      if (fresh) {
        // Whoever stands in a cell stays there: it is another element now, in the same place.
        const at = rows().indexOf(here);
        const focused = at >= 0 && here.contains(document.activeElement);
        for (const part of [".sums", ".grid", "#cell"]) run.querySelector(part)?.replaceWith(fresh.querySelector(part) ?? "");
        run.dataset.running = fresh.dataset.running;
        here = rows()[at] ?? null;
        here?.classList.add("here");
        if (focused) here?.querySelector(".open").focus({ preventScroll: true });
      }
    } catch { /* the room is closed for a moment: the next try comes */ }
  }
  setTimeout(again, 2000);
}
if (document.getElementById("run")) setTimeout(again, 2000);
