// Read the settings of the page, and keep them in its address.

const $ = (id) => document.getElementById(id);
const PACES = [6, 40, 200, 1000, Infinity]; // characters a second
const FIELDS = { temperature: "temperature", top_k: "top-k", top_p: "top-p", repetition_penalty: "penalty" }; // settings of the draws
const LARGEST_SEED = 2 ** 32;

const pace = () => PACES[Number($("pace").value)];

/** Return the number in a field, within its limits; its default if there is none. */
function number(id) {
  const { value, min, max, defaultValue } = $(id);
  if (value.trim() === "" || Number.isNaN(Number(value))) return Number(defaultValue);
  return Math.min(Math.max(Number(value), Number(min)), max === "" ? Infinity : Number(max));
}

let chosen = readChosen();

/** Return the settings of the draws: the same object until they change. */
function settings() {
  return chosen;
}

function readChosen() {
  const values = Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, number(id)]));
  return { ...values, top_k: Math.floor(values.top_k) };
}

/** Return the seed in the page, or a new one. */
function nextSeed() {
  if ($("seed").value !== "") return Math.floor(number("seed"));
  return Math.floor(Math.random() * LARGEST_SEED);
}

/** Return an address that opens the page with this prompt, seed and settings; nothing after the # is sent to a server. */
function address(seed) {
  const values = new URLSearchParams({ prompt: $("prompt").value, seed });
  for (const [name, id] of Object.entries(FIELDS)) {
    if (name === "temperature" || $(id).value !== $(id).defaultValue) values.set(name, chosen[name]);
  }
  if (!$("label-field").hidden) values.set("label", $("label").value);
  return `${location.href.split("#")[0]}#${values}`;
}

function openAddress() {
  const values = new URLSearchParams(location.hash.slice(1));
  $("prompt").value = values.get("prompt") ?? "";
  for (const [name, id] of [...Object.entries(FIELDS), ["seed", "seed"]]) if (values.has(name)) $(id).value = values.get(name);
  const labels = Array.from($("label").options, (option) => option.value);
  if (labels.includes(values.get("label"))) $("label").value = values.get("label");
  if (["top_k", "top_p", "repetition_penalty"].some((name) => values.has(name))) document.querySelector(".more").open = true;
  chosen = readChosen();
}
