// What a participant saw: to its other views, and back.
import { key } from "/static/room.js";

const press = (id) => () => document.getElementById(id)?.click();
key("j", press("after"));
key("k", press("before"));
key("u", press("back"));
key("o", () => {
  const known = document.querySelector(".known");
  if (known) known.open = !known.open;
});
