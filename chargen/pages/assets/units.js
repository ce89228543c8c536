"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const values = Uint8Array.from(atob(data.values), (one) => one.charCodeAt(0));
const STRONGEST = 6;

const text = document.getElementById("text");
const panel = document.getElementById("panel");
const list = document.getElementById("units");
const order = document.getElementById("order");
const span = document.getElementById("span");
const cells = [...text.querySelectorAll("i")];
const places = new Map(cells.map((cell, place) => [cell, place]));
let picked = 0, current = -1, ranking = [];

const value = (unit, place) => values[unit * data.length + place] / 127 - 1;
const layers = Math.max(...data.units.map((unit) => unit[0]));
const signed = (number, digits) => (number < 0 ? "" : "+") + number.toFixed(digits);
function named(unit) {
  const [layer, number, state] = data.units[unit];
  return `${layers > 1 ? `layer ${layer}, ` : ""}unit ${number}, ${state}`;
}

// Mean and spread of each unit, in bytes: some cells stay near 1 in the whole text, and are nowhere unusual.
const summaries = data.units.map((_, unit) => {
  const row = values.subarray(unit * data.length, (unit + 1) * data.length);
  const mean = row.reduce((sum, one) => sum + one, 0) / row.length;
  const variance = row.reduce((sum, one) => sum + (one - mean) ** 2, 0) / row.length;
  return { mean, spread: Math.sqrt(variance) + 1 };
});
const unusualness = (unit) => Math.abs(values[unit * data.length + current] - summaries[unit].mean) / summaries[unit].spread;

function colour(unit) {
  const row = values.subarray(unit * data.length, (unit + 1) * data.length);
  const low = span.checked ? row.reduce((least, one) => Math.min(least, one)) : 0; // a long row is too much for Math.min(...row)
  const high = span.checked ? row.reduce((most, one) => Math.max(most, one), low + 1) : 254;
  for (let place = 0; place < cells.length; place++) {
    const level = Math.round(((row[place] - low) / (high - low)) * 10);
    cells[place].className = `a${level}${place === current ? " on" : ""}`;
  }
}

function pick(unit) {
  picked = unit;
  for (const item of list.children) item.setAttribute("aria-selected", String(Number(item.dataset.unit) === unit));
  const selected = list.querySelector('[aria-selected="true"]');
  if (selected) {
    list.setAttribute("aria-activedescendant", selected.id);
    const above = selected.offsetTop - list.offsetTop;
    if (above < list.scrollTop || above + selected.offsetHeight > list.scrollTop + list.clientHeight) {
      list.scrollTop = above - list.clientHeight / 2;
    }
  }
  colour(unit);
  showPanel();
}

function fill() {
  const column = data.properties.indexOf(order.value);
  ranking = data.units.map((_, unit) => unit);
  if (column < 0) {
    const number = (unit) => [data.units[unit][0], data.units[unit][2] === "cell" ? 1 : 0, data.units[unit][1]];
    ranking.sort((a, b) => number(a).map((one, key) => one - number(b)[key]).find((one) => one) || 0);
  } else {
    ranking.sort((a, b) => Math.abs(data.correlations[b][column]) - Math.abs(data.correlations[a][column]));
  }
  list.replaceChildren(...ranking.map((unit) => {
    const item = document.createElement("li");
    item.id = `u${unit}`;
    item.dataset.unit = unit;
    item.setAttribute("role", "option");
    const figure = document.createElement("span");
    figure.textContent = column < 0 ? "" : signed(data.correlations[unit][column], 2);
    item.append(named(unit), figure);
    return item;
  }));
}

function strongest() {
  const units = data.units.map((_, unit) => unit);
  return units.sort((a, b) => unusualness(b) - unusualness(a)).slice(0, STRONGEST);
}

function showPanel() {
  const first = document.createElement("p");
  const figures = data.properties.map((name, column) => `${name} ${signed(data.correlations[picked][column], 2)}`);
  first.textContent = `${named(picked)} \u2014 correlation with ${figures.join(", ") || "no property varies in this text"}`;
  panel.replaceChildren(first);
  if (current < 0) return;
  const here = document.createElement("p");
  here.textContent = `here ${signed(value(picked, current), 2)}; most unusual units here:`;
  panel.append(here, ...strongest().map((unit) => {
    const button = document.createElement("button");
    button.textContent = `${named(unit)} ${signed(value(unit, current), 2)}`;
    button.addEventListener("click", () => pick(unit));
    return button;
  }));
}

function go(place) {
  if (current >= 0) cells[current].classList.remove("on");
  current = place;
  cells[current].classList.add("on");
  showPanel();
}

function pointed(event) {
  const place = places.get(event.target);
  if (place !== undefined && place !== current) go(place);
}
text.addEventListener("pointerover", pointed);
text.addEventListener("click", pointed);
text.addEventListener("keydown", (event) => {
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 20, ArrowUp: -20 };
  if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  go(Math.min(Math.max(current + moves[event.key], 0), cells.length - 1));
  cells[current].scrollIntoView({ block: "nearest" });
});

const unitAt = (event) => event.target.closest("li") && Number(event.target.closest("li").dataset.unit);
list.addEventListener("pointerover", (event) => {
  const unit = unitAt(event);
  if (unit !== null && event.pointerType === "mouse") colour(unit);
});
list.addEventListener("pointerleave", () => colour(picked));
list.addEventListener("click", (event) => {
  const unit = unitAt(event);
  if (unit !== null) pick(unit);
});
list.addEventListener("keydown", (event) => {
  const place = ranking.indexOf(picked);
  const moves = { ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + 10, PageUp: place - 10, Home: 0, End: Infinity };
  if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  pick(ranking[Math.min(Math.max(moves[event.key], 0), ranking.length - 1)]);
});
span.addEventListener("change", () => colour(picked));
order.addEventListener("change", () => {
  fill();
  pick(ranking[0]);
});

// The first unit is the requested one, or the one with the largest correlation; the list is ordered by its best property.
const own = (data.correlations[0] || []).map(Math.abs);
if (own.length) order.selectedIndex = own.indexOf(Math.max(...own));
fill();
pick(0);
