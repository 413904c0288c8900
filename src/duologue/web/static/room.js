// Keys and small comforts of every page. Everything here can be done without a script, too.

const keys = new Map();

/** Let a key do something; pages register theirs. */
export function key(name, act) { keys.set(name, act); }

function typing(target) {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable]");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  // Out of a field with its words left in it, so that keys are keys again.
  if (event.key === "Escape" && typing(event.target)) { event.preventDefault(); event.target.blur(); }
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  const act = keys.get(event.key);
  if (act) { event.preventDefault(); act(event); }
});

function theme() {
  const root = document.documentElement;
  const now = root.dataset.theme
    ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* not kept, still chosen */ }
}

const dialog = document.getElementById("keys");
const help = () => dialog.showModal();
document.getElementById("theme")?.addEventListener("click", theme);
document.getElementById("keys-button")?.addEventListener("click", help);
key("t", theme);
key("?", help);
key("h", () => { location.href = "/"; });
key("/", () => {
  const box = document.querySelector("input[type=search]");
  if (box) box.focus(); else location.href = "/#words";
});
