// Colour the text by the activations of a unit, and show a card of the unit and what the units do at the cursor.

const STRONGEST = 6; // units and tokens in a card
const BINS = 20; // of the histogram
const HALF = 127; // the byte of activation 1 minus that of activation 0

const list = $("units");
const order = $("order");
const span = $("span");
const count = numbersOf(data.ids, data.size).length;
let picked = 0;
let shownUnit = 0; // whose colours the text has: the picked one, or the one under the pointer
let row = new Uint8Array(count); // the activations of the shown unit
let [low, high] = [0, 2 * HALF]; // the ends of the colours
let ranking = [];

const layers = Math.max(...data.units.map((unit) => unit[0]));
const signed = (number, digits) => (number < 0 ? "" : "+") + number.toFixed(digits);
const valueAt = (unit, place) => bytesOf(data.values, unit * count + place, unit * count + place + 1)[0];

reader.heatAt = (place) => Math.max(-1, Math.min(1, (2 * (row[place] - low)) / (high - low) - 1));
reader.chosen = showCard;

function named(unit) {
  const [layer, number, state] = data.units[unit];
  return `${layers > 1 ? `layer ${layer}, ` : ""}unit ${number}, ${state}`;
}

/** Give the text the colours of a unit. */
function colour(unit) {
  shownUnit = unit;
  row = bytesOf(data.values, unit * count, (unit + 1) * count);
  [low, high] = [0, 2 * HALF];
  if (!span.checked) return;
  low = row.reduce((least, one) => Math.min(least, one)); // a long row is too much for Math.min(...row)
  high = row.reduce((most, one) => Math.max(most, one), low + 1);
}

function pick(unit) {
  picked = unit;
  for (const item of list.children) item.setAttribute("aria-selected", String(Number(item.dataset.unit) === unit));
  const selected = list.querySelector('[aria-selected="true"]');
  list.setAttribute("aria-activedescendant", selected.id);
  const above = selected.offsetTop - list.offsetTop;
  if (above < list.scrollTop || above + selected.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = above - list.clientHeight / 2;
  }
  colour(unit);
  reader.recolour();
  showCount();
  showCard();
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
    const item = element("li", "", named(unit), element("span", "", column < 0 ? "" : signed(data.correlations[unit][column], 2)));
    item.id = `u${unit}`;
    item.dataset.unit = unit;
    item.setAttribute("role", "option");
    return item;
  }));
}

/** Return the units furthest from their means at the cursor, by their spreads: some cells stay near 1 in the whole text. */
function strongest() {
  const unusual = data.summaries.map(([mean, spread], unit) => Math.abs(valueAt(unit, reader.current) / HALF - 1 - mean) / (spread + 0.01));
  return [...unusual.keys()].sort((one, other) => unusual[other] - unusual[one]).slice(0, STRONGEST);
}

/** Return the share of activations in each of equal ranges from -1 to 1, drawn as bars. */
function histogram(values) {
  const counts = new Uint32Array(BINS);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor((value * BINS) / (2 * HALF)))]++;
  const most = Math.max(...counts);
  const drawn = element("div", "histogram", ...Array.from(counts, (one, bin) => {
    const bar = element("i", bin < BINS / 2 ? "below" : "");
    bar.style.height = `${(100 * one) / most}%`;
    return bar;
  }));
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", "Histogram of the activations, from -1 to 1");
  return drawn;
}

/** Return the tokens after which a unit has the highest, or the lowest, mean activation; rare ones are left out. */
function extremes(values, sign) {
  const [counts, sums] = [new Uint32Array(data.tokens.length), new Float64Array(data.tokens.length)];
  reader.ids.forEach((id, place) => {
    counts[id]++;
    sums[id] += values[place] / HALF - 1;
  });
  const least = Math.max(1, count / 2000);
  const common = [...counts.keys()].filter((id) => counts[id] >= least).map((id) => [shown(data.tokens[id]), sums[id] / counts[id]]);
  return common.sort((one, other) => sign * (other[1] - one[1])).slice(0, STRONGEST).map(([name]) => element("kbd", "", name));
}

function showCard() {
  const values = bytesOf(data.values, picked * count, (picked + 1) * count);
  const [mean, spread] = data.summaries[picked];
  const correlations = data.properties.map((name, column) => [name, data.correlations[picked][column], signed(data.correlations[picked][column], 2), false]);
  const parts = [
    element("h2", "", named(picked)),
    histogram(values),
    element("p", "dim", `Mean ${signed(mean, 2)}, standard deviation ${spread.toFixed(2)}.`),
    element("p", "tokens", "Highest after ", ...extremes(values, 1)),
    element("p", "tokens", "Lowest after ", ...extremes(values, -1)),
    element("h3", "", correlations.length ? "Correlation with" : "No property varies in this text."),
    bars(correlations),
  ];
  $("panel").replaceChildren(...(reader.current < 0 ? parts : [...here(), ...parts]));
}

/** Return the part of the card about the cursor. */
function here() {
  const place = reader.current;
  const value = (unit) => signed(valueAt(unit, place) / HALF - 1, 2);
  const buttons = strongest().map((unit) => {
    const button = element("button", "quiet", `${named(unit)} ${value(unit)}`);
    button.type = "button";
    button.addEventListener("click", () => pick(unit));
    return button;
  });
  return [
    element("h2", "token", element("kbd", "", shown(reader.tokenAt(place))), ` ${value(picked)}`),
    element("p", "", around(place)),
    element("h3", "", "Most unusual units here"),
    element("div", "actions", ...buttons),
  ];
}

function showCount() {
  $("count").textContent = `${reader.count().toLocaleString("en")} of ${count.toLocaleString("en")} tokens`;
}

function showThreshold() {
  reader.threshold = Number($("threshold").value);
  $("threshold").setAttribute("aria-valuetext", $("threshold").value);
  $("threshold-value").textContent = `\u00b1${reader.threshold.toFixed(2)}`;
  reader.recolour();
  showCount();
}

const unitAt = (event) => event.target.closest("li") && Number(event.target.closest("li").dataset.unit);

/** Show the colours of a unit while the pointer is over its name; the overview keeps those of the picked one. */
function preview(unit) {
  if (unit === shownUnit) return;
  colour(unit);
  reader.recolourText();
}

list.addEventListener("pointerover", (event) => {
  const unit = unitAt(event);
  if (unit !== null && event.pointerType === "mouse") preview(unit);
});
list.addEventListener("pointerleave", () => preview(picked));
list.addEventListener("click", (event) => {
  const unit = unitAt(event);
  if (unit !== null) pick(unit);
});
list.addEventListener("keydown", (event) => {
  const place = ranking.indexOf(picked);
  const moves = { ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + 10, PageUp: place - 10, Home: 0, End: Infinity };
  if (!Object.hasOwn(moves, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  pick(ranking[Math.min(Math.max(moves[event.key], 0), ranking.length - 1)]);
});
span.addEventListener("change", () => pick(picked));
order.addEventListener("change", () => {
  fill();
  pick(ranking[0]);
});
$("threshold").addEventListener("input", showThreshold);

// The first unit is the requested one, or the one with the largest correlation; the list is ordered by its best property.
const own = (data.correlations[0] || []).map(Math.abs);
if (own.length) order.selectedIndex = own.indexOf(Math.max(...own));
reader.begin();
fill();
pick(0);
showThreshold();
