// Show the bits of each token, and a card of the token at the cursor: its candidates, and its other occurrences.

const bits = numbersOf(data.bits, 2);
const most = data.most * 100; // of the last colour, in hundredths of a bit
const occurrences = occurrencesOf();

reader.heatAt = (place) => Math.min(1, bits[place] / most);
reader.chosen = showCard;

/** Return for each token how often it occurs, and the sum of its bits. */
function occurrencesOf() {
  const ids = numbersOf(data.ids, data.size);
  const found = { counts: new Uint32Array(data.tokens.length), sums: new Float64Array(data.tokens.length) };
  ids.forEach((id, place) => {
    found.counts[id]++;
    found.sums[id] += bits[place] / 100;
  });
  return found;
}

/** Return the most probable tokens at a place, each [token, probability]; their numbers are unpacked when they are shown. */
function candidatesAt(place) {
  const [from, to] = [place * data.width, (place + 1) * data.width];
  const chances = numbersOf(data.chances, 2, from, to);
  const choices = numbersOf(data.choices, data.choiceSize, from, to);
  return Array.from(choices, (choice, rank) => [data.names[choice], chances[rank] / 10000]).filter(([, chance]) => chance);
}

const percent = (share) => (share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(1)}%`);
const ORDER = ["the most probable token", "the second most probable", "the third most probable", "the fourth most probable", "the fifth most probable"];

function showCard(place) {
  const token = reader.tokenAt(place);
  const candidates = candidatesAt(place);
  const own = candidates.findIndex(([name]) => name === token);
  const [best] = candidates.map(([, chance]) => chance);
  const line = above(reader.starts, place) - 1;
  const column = Array.from(reader.ids.subarray(reader.starts[line], place)).reduce((sum, id) => sum + reader.lengths[id], 1);
  const [count, sum] = [occurrences.counts, occurrences.sums].map((all) => all[reader.ids[place]]);
  $("panel").replaceChildren(
    element("h2", "token", element("kbd", "", shown(token)), ` ${(bits[place] / 100).toFixed(2)} bits`),
    element("p", "", around(place)),
    element("p", "dim", `Line ${reader.numbers[line].toLocaleString("en")}, column ${column}; ${own < 0 ? `not among the ${candidates.length} most probable` : ORDER[own]}.`),
    element("h3", "", "Expected here"),
    bars(candidates.map(([name, chance], rank) => [shown(name), chance / best, percent(chance), rank === own])),
    element("p", "dim", `In this text ${shown(token)} occurs ${count.toLocaleString("en")} ${count === 1 ? "time" : "times"}, with ${(sum / count).toFixed(2)} bits on average.`),
  );
}

function showThreshold() {
  reader.threshold = Number($("threshold").value) / data.most;
  const from = `${$("threshold").value} ${$("threshold").value === "1" ? "bit" : "bits"}`;
  $("threshold").setAttribute("aria-valuetext", from);
  $("threshold-value").textContent = from;
  reader.recolour();
  $("count").textContent = `${reader.count().toLocaleString("en")} of ${reader.ids.length.toLocaleString("en")} tokens`;
}

document.querySelector("nav").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  reader.go(Number(link.dataset.place), { centred: true });
  reader.text.focus({ preventScroll: true });
});
$("threshold").addEventListener("input", showThreshold);
reader.begin();
showThreshold();
