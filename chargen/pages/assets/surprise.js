"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer;
const bits = new Uint16Array(bytes(data.bits));
const choices = new { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[data.size](bytes(data.choices));
const chances = new Uint16Array(bytes(data.chances));

const text = document.getElementById("text");
const panel = document.getElementById("panel");
const cells = [...text.querySelectorAll("i")];
const places = new Map(cells.map((cell, place) => [cell, place]));
let current = null;

const SIGNS = { "\n": "\u21b5", "\t": "\u21e5", " ": "\u2423" };
function shown(name) {
  if (name === null) return "(end)";
  return name.replace(/[\n\t ]/g, (one) => SIGNS[one]);
}

function element(kind, content) {
  const made = document.createElement(kind);
  made.textContent = content;
  return made;
}

function showPlace(place) {
  if (current) current.classList.remove("on");
  current = cells[place];
  current.classList.add("on");
  const first = document.createElement("div");
  first.append(element("code", shown(current.textContent)), ` ${(bits[place] / 100).toFixed(2)} bits, expected`);
  const list = document.createElement("ol");
  for (let rank = place * data.width; rank < (place + 1) * data.width; rank++) {
    if (!chances[rank]) continue;
    const item = document.createElement("li");
    item.append(element("code", shown(data.names[choices[rank]])), ` ${(chances[rank] / 100).toFixed(1)}%`);
    list.append(item);
  }
  panel.replaceChildren(first, list);
}

function pointed(event) {
  const place = places.get(event.target);
  if (place !== undefined) showPlace(place);
}
text.addEventListener("pointerover", pointed);
text.addEventListener("click", pointed);

function lineStep(place, down) {
  const line = cells[place].parentElement;
  const next = down ? line.nextElementSibling : line.previousElementSibling;
  const own = [...line.querySelectorAll("i")].indexOf(cells[place]);
  const there = next ? [...next.querySelectorAll("i")] : [];
  return there.length ? places.get(there[Math.min(own, there.length - 1)]) : place;
}

text.addEventListener("keydown", (event) => {
  const place = current ? places.get(current) : -1;
  const last = cells.length - 1;
  const moves = {
    ArrowRight: () => Math.min(place + 1, last),
    ArrowLeft: () => Math.max(place - 1, 0),
    ArrowDown: () => (place < 0 ? 0 : lineStep(place, true)),
    ArrowUp: () => (place < 0 ? 0 : lineStep(place, false)),
    Home: () => 0,
    End: () => last,
  };
  if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  showPlace(moves[event.key]());
  current.scrollIntoView({ block: "nearest" });
});
