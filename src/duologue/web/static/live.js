// A running conversation: each turn when it is in the log, and before that the words as they come.
import { key } from "/static/room.js";
import { all, go } from "/static/conversation.js";

const holder = document.getElementById("turns");
const bar = document.getElementById("following");
const words = document.getElementById("following-words");
const typing = document.getElementById("typing");
const strip = document.querySelector("#strip ol");
const close = document.getElementById("close");
const pause = document.getElementById("pause");
const CELLS = 240;
let follows = true;
let queue = [];
let due = false;
let missed = 0;
let source = null;

function say(text, lost = false) { words.textContent = text; bar.classList.toggle("lost", lost); }

function fragment(html) {
  const made = document.createElement("template");
  made.innerHTML = html; // the room's own markup, from the same templates as the page
  return made.content.firstElementChild;
}

function toEnd() { scrollTo(0, document.documentElement.scrollHeight); }

function follow(on) {
  follows = on;
  pause.textContent = on ? "stay here" : "follow";
  if (on) { missed = 0; toEnd(); }
  told();
}
function told() { say(follows ? "following" : missed ? `${missed} new below` : "staying here"); }

function put(line) {
  const turn = fragment(line.html);
  const there = document.getElementById(turn.id);
  if (there) { there.replaceWith(turn); return; }
  holder.append(turn);
  holder.dataset.turns = line.turn;
  missed += 1;
  if (strip.children.length < CELLS) strip.append(fragment(line.cell));
  if (typing.dataset.turn === String(line.turn)) clear();
}

function clear() { typing.hidden = true; typing.replaceChildren(); typing.dataset.turn = ""; }

function begin(line) {
  clear();
  close.textContent = "It goes on."; // also where a failed conversation is tried again
  typing.dataset.turn = line.turn;
  typing.hidden = false;
  const turn = fragment('<article class="turn typing"><div class="margin"><span class="number"></span></div><div class="said"><h2><span class="name"></span><span class="badge">speaks now</span></h2><details class="reasoning" hidden><summary>thinks first</summary><div class="words as-written"></div></details><div class="words as-written" dir="auto"></div></div></article>');
  turn.classList.add(`seat-${line.colour ?? 0}`);
  turn.querySelector(".number").textContent = line.turn;
  turn.querySelector(".name").textContent = line.who;
  typing.append(turn);
}

// What a control character would do to a page is little; it is shown as a symbol all the same.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const seen = (text) => text.replace(UNSEEN, (char) => {
  const code = char.codePointAt(0);
  return code < 32 ? String.fromCodePoint(0x2400 + code) : `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
});

function type(line) {
  if (line.anew || typing.dataset.turn !== String(line.turn)) begin(line);
  const [thought, said] = typing.querySelectorAll(".words");
  if (line.thought) { thought.parentElement.hidden = false; thought.append(seen(line.thought)); }
  if (line.words) said.append(seen(line.words));
}

function failed(line) {
  clear();
  const badge = document.createElement("p");
  badge.innerHTML = '<span class="badge grave"></span>';
  badge.firstElementChild.textContent = `${line.turn}: ${line.who}: ${line.words}`;
  typing.replaceChildren(badge);
  typing.hidden = false;
}

const acts = {
  turn: put, started: begin, typing: type, failed,
  ended: (line) => { clear(); close.textContent = `Ended by ${line.words}.`; },
};

function draw() {
  due = false;
  const now = queue;
  queue = [];
  for (const [kind, line] of now) acts[kind](line);
  told();
  if (follows) toEnd();
}

function hear(kind) {
  source.addEventListener(kind, (event) => {
    queue.push([kind, JSON.parse(event.data)]);
    if (due) return;
    due = true;
    // A hidden tab gets no frames; the words must not pile up there.
    if (document.hidden) setTimeout(draw, 200); else requestAnimationFrame(draw);
  });
}

// What stood above the words when the page was opened is told anew when all is said.
async function settle() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = document.querySelector(".about")?.open;
  for (const part of [".head", ".moments", "#strip ol", "#close"]) {
    const [mine, fresh] = [document.querySelector(part), page.querySelector(part)];
    if (mine && fresh) mine.replaceWith(fresh);
    else if (fresh) document.querySelector(".head").after(fresh);
  }
  const about = document.querySelector(".about");
  if (about) about.open = open;
  if (follows) toEnd();
}

function start() {
  const raw = holder.dataset.raw === "yes" ? "&raw=1" : "";
  source = new EventSource(`/c/${holder.dataset.conv}/live?after=${holder.dataset.records - 1}${raw}`);
  Object.keys(acts).forEach(hear);
  source.addEventListener("open", told);
  source.addEventListener("error", () => say("looking for the room again", true));
  source.addEventListener("problem", (event) => { source.close(); say(JSON.parse(event.data).words, true); });
  source.addEventListener("over", () => {
    source.close();
    requestAnimationFrame(() => { draw(); clear(); bar.hidden = true; settle(); });
  });
  bar.hidden = false;
  follow(location.hash === "" && holder.dataset.reached !== "yes");
}

// Whoever goes up, by wheel, key, finger or link, wants to stay there.
let top = scrollY;
addEventListener("scroll", () => {
  const up = scrollY < top;
  top = scrollY;
  if (up && follows && !bar.hidden && document.documentElement.scrollHeight - innerHeight - scrollY > 2) follow(false);
}, { passive: true });
pause.addEventListener("click", () => follow(!follows));
document.getElementById("newest").addEventListener("click", () => { follow(true); });
key("f", () => { if (!bar.hidden) follow(!follows); });
key("G", () => { if (bar.hidden) go(all().at(-1)); else follow(true); });
if (holder.dataset.growing === "yes") start();
