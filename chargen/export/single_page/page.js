// Handle the input and the display of the page. The script before this one defines `manuscript` and `described`.

const LONGEST = 10000; // tokens written per click
const LINES = 40; // lines laid out together
const SHOWN = 10; // next tokens
const BARS_EVERY = 100; // milliseconds
const PACES = [6, 40, 200, 1000, Infinity]; // characters a second
const READ_AFTER = 150; // milliseconds without a key
const STARTS = 3; // prompts to try
const NAMES = { " ": "space", "\n": "line", "\t": "tab" };
const UNPRINTABLE = /^[\p{C}\p{Z}\p{M}]$/u;

const $ = (id) => document.getElementById(id);

const { kind, labels } = described.vocabulary;
const slices = new Slices();
const temperature = () => Number($("temperature").value);
const pace = () => PACES[Number($("pace").value)];
let writing = null; // while writing: the start time, and the number of tokens drawn before
let shown = 0; // number of pieces on the page
let barsAt = -Infinity;
let unread = 0; // the timer of a prompt that is not read yet

function readPrompt() {
  clearTimeout(unread);
  unread = 0;
  stop();
  manuscript.begin($("prompt").value, $("label").value);
  clearText();
  $("text").setAttribute("aria-busy", "true");
  slices.run(manuscript.read(), { shown: () => {}, ended: afterReading, failed });
}

let whenRead = null; // what to do after reading the prompt

function afterReading() {
  const names = manuscript.unknown.slice(0, 5).map(nameOf).join(", ");
  const more = manuscript.unknown.length > 5 ? " and more" : "";
  const what = kind === "word" ? "reads them as unknown words" : "leaves them out";
  const replaced = [...manuscript.replaced].slice(0, 5).map(([from, to]) => `${from} as ${to}`);
  const notes = replaced.length ? [`The network reads ${replaced.join(", ")}.`] : [];
  say([...notes, ...(names ? [`The network does not know ${names}${more} and ${what}.`] : [])].join(" "));
  $("text").removeAttribute("aria-busy");
  show(true);
  const then = whenRead;
  whenRead = null;
  then?.();
}

/** Stop writing and show the reason. */
function failed(reason) {
  $("text").removeAttribute("aria-busy");
  stop();
  say(reason);
}

function start() {
  if (unread || !(manuscript.ready || slices.job)) readPrompt();
  if (!manuscript.ready) {
    whenRead = start;
    return;
  }
  writing = { since: performance.now(), drawn: manuscript.drawn };
  $("write").textContent = "Stop";
  $("text").classList.add("busy");
  say("Writing.");
  slices.run(manuscript.write(LONGEST, temperature, pace, rows.length), { pace, shown: () => show(false), ended: stop, failed });
}

function stop() {
  whenRead = null;
  if (!writing) return;
  const { count, seconds } = written();
  writing = null;
  slices.end();
  $("write").textContent = "Write";
  $("text").classList.remove("busy");
  const rate = count > 20 ? `, ${format(count / seconds)} a second` : "";
  say(`Stopped after ${format(count)} ${tokenName(count)}${rate}.`);
  show(true);
}

function written() {
  return { count: manuscript.drawn - writing.drawn, seconds: (performance.now() - writing.since) / 1000 };
}

function toggle() {
  if (writing || whenRead) stop();
  else start();
}

/** Append a token that the user chose. */
function choose(token) {
  if (writing || !manuscript.ready) return;
  manuscript.set(token);
  show(true);
}

function say(text) {
  $("note").textContent = text;
}

/** Return the whole text. */
function wholeText() {
  return manuscript.pieces.map(({ text }) => text).join("");
}

/** Put a text on the clipboard; this way works in pages without a secure address, too. */
function copy(text, done) {
  const fill = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", fill, { once: true });
  say(document.execCommand("copy") ? done : "The browser does not allow copying.");
  document.removeEventListener("copy", fill);
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([wholeText()], { type: "text/plain" }));
  link.download = `${described.name || "chargen"}.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Return an address that opens the page with this prompt, label and temperature; nothing after the # is sent to a server. */
function address() {
  const values = new URLSearchParams({ prompt: $("prompt").value, temperature: temperature() });
  if (labels.length) values.set("label", $("label").value);
  return `${location.href.split("#")[0]}#${values}`;
}

function openAddress() {
  const values = new URLSearchParams(location.hash.slice(1));
  $("prompt").value = values.get("prompt") ?? "";
  if (values.has("temperature")) $("temperature").value = values.get("temperature");
  if (labels.includes(values.get("label"))) $("label").value = values.get("label");
}

function clearText() {
  $("text").replaceChildren();
  shown = 0;
}

/** Update the page. */
function show(whole) {
  const pane = $("text");
  const follows = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 60;
  addPieces(manuscript.pieces.slice(shown));
  shown = manuscript.pieces.length;
  $("keep").hidden = !manuscript.drawn;
  $("samples").hidden = !described.samples.length || manuscript.drawn > 0;
  if (follows) pane.scrollTop = pane.scrollHeight;
  if (whole || performance.now() - barsAt > BARS_EVERY) showFigures();
}

/** Add pieces of text to the page: each in its own element while surprise is shown, else pieces of one kind together. */
function addPieces(pieces) {
  const each = $("surprise").checked;
  let line = $("text").lastChild?.lastChild ?? newLine();
  let last = null;
  for (const { text, bits, given } of pieces) {
    if (text === "\n") {
      line = newLine();
      last = null;
      continue;
    }
    const kind = given ? "given" : "written";
    if (each || last?.className !== kind) {
      last = document.createElement("span");
      last.className = kind;
      line.append(last);
    }
    last.append(text);
    if (each && !Number.isNaN(bits)) {
      last.classList.add(`s${Math.max(0, Math.min(7, Math.floor(bits)))}`);
      last.title = `${bits.toFixed(1)} bits`;
    }
  }
}

/** Start a line. Lines are grouped in elements, so that the browser does not lay out the whole text again. */
function newLine() {
  const line = document.createElement("p");
  const lines = $("text").lastChild;
  if (lines && lines.childElementCount < LINES) lines.append(line);
  else {
    const more = document.createElement("div");
    more.append(line);
    $("text").append(more);
  }
  return line;
}

function showFigures() {
  barsAt = performance.now();
  const { cost, counted } = manuscript;
  const figures = [`${format(counted)} ${tokenName(counted)}`];
  if (counted) figures.push(`${(cost / counted).toFixed(2)} bits each`);
  if (writing && written().seconds > 0.5) figures.push(`${format(written().count / written().seconds)} a second`);
  $("figures").textContent = figures.join(" \u00b7 ");
  if (manuscript.ready) showBars();
}

const rows = Array.from({ length: Math.min(SHOWN, described.vocab_size) }, () => {
  const row = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  const [sort, track, fill, share] = ["kbd", "span", "span", "span"].map((name) => document.createElement(name));
  [track.className, fill.className, share.className] = ["track", "fill", "share"];
  track.append(fill);
  button.append(sort, track, share);
  row.append(button);
  $("next").append(row);
  const parts = { row, button, sort, fill, share, token: 0 };
  button.addEventListener("click", () => choose(parts.token));
  return parts;
});

/** Show the next tokens, the most probable first. */
function showBars() {
  const best = manuscript.best(temperature(), rows.length);
  rows.forEach((parts, place) => {
    parts.row.hidden = place >= best.length;
    if (parts.row.hidden) return;
    const { token, text, probability } = best[place];
    parts.token = token;
    const name = text === null ? "end" : nameOf(text);
    parts.sort.textContent = name;
    parts.sort.className = name === text ? "" : "named";
    parts.fill.style.transform = `scaleX(${probability})`;
    parts.share.textContent = probability < 0.001 ? "<0.1%" : `${(100 * probability).toFixed(1)}%`;
    parts.button.disabled = Boolean(writing);
    parts.button.setAttribute("aria-label", `${name}, ${parts.share.textContent}`);
  });
}

/** Return a token's text, or its name if it is invisible. */
function nameOf(text) {
  if (NAMES[text]) return NAMES[text];
  const byte = kind === "byte" && text >= "\x80";
  if (!byte && !UNPRINTABLE.test(text)) return text.replace(/[\p{C}\n]/gu, "\u00b7").replace(/^ /, "\u2423");
  const code = text.codePointAt(0).toString(16).toUpperCase();
  return byte ? `byte ${code}` : `U+${code.padStart(4, "0")}`;
}

function tokenName(count) {
  const name = { character: "character", byte: "byte" }[kind] ?? "token";
  return count === 1 ? name : `${name}s`;
}

function format(number) {
  return Math.round(number).toLocaleString("en");
}

function showDials() {
  const values = { temperature: temperature().toFixed(2), pace: pace() === Infinity ? "no limit" : `${format(pace())} a second` };
  for (const [id, value] of Object.entries(values)) {
    $(`${id}-value`).textContent = value;
    $(id).setAttribute("aria-valuetext", value);
  }
  const at = temperature() === 0 ? "0: always the most probable" : temperature().toFixed(2);
  $("next-note").textContent = `At temperature ${at}. Click one to append it.`;
  if (manuscript.ready) showBars();
}

function showSurprise() {
  $("legend").hidden = !$("surprise").checked;
  $("text").classList.toggle("read", $("surprise").checked);
  clearText();
  show(true);
}

function showDark(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", String(dark));
}

/** Describe the model: all of its texts are inserted as text, never as markup. */
function introduce() {
  const { network: config, name, bits_per_character: bits } = described;
  const cells = { lstm: "An LSTM", gru: "A GRU", simplernn: "A SimpleRNN", dense: "A SimpleRNN" };
  const layers = config.num_layers === 1 ? `${config.hidden_size} units` : `${config.num_layers} layers of ${config.hidden_size} units`;
  const kinds = { character: "one character at a time", byte: "one byte at a time", word: "word by word", bpe: "in parts of words" };
  if (name) {
    document.title = `${name} \u2013 chargen`;
    $("name").textContent = name;
  }
  const learnt = bits ? `; ${bits.toFixed(2)} bits a character` : "";
  $("about").textContent = `${cells[config.cell]} of ${layers} that writes ${kinds[kind]}${learnt}`;
  $("size").textContent = aboutSize();
  $("label-field").hidden = !labels.length;
  $("next").classList.toggle("words", ["word", "bpe"].includes(kind));
  for (const label of labels) $("label").append(new Option(label, label));
}

/** Show texts that the network wrote before, and prompts to try, until it writes here. */
function showSamples() {
  const { samples, ends } = described;
  if (!samples.length) return;
  $("samples-note").textContent = `It writes, for instance, ${ends ? "these lines" : "this"}:`;
  $("samples-list").classList.toggle("lines", ends);
  for (const sample of samples) {
    const item = document.createElement("li");
    item.textContent = sample;
    $("samples-list").append(item);
  }
  const begins = samples.map((sample) => (ends ? [...sample].slice(0, 2).join("") : sample.trim().split(/\s+/).slice(0, 2).join(" ")));
  for (const begin of [...new Set(begins)].filter(Boolean).slice(0, STARTS)) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = begin;
    button.addEventListener("click", () => {
      $("prompt").value = begin;
      readPrompt();
      start();
    });
    $("starts").append(button);
  }
  $("starts").hidden = !$("starts").childElementCount;
}

introduce();
showSamples();
openAddress();
showDark(matchMedia("(prefers-color-scheme: dark)").matches);
showDials();
$("write").addEventListener("click", toggle);
$("over").addEventListener("click", readPrompt);
$("label").addEventListener("change", readPrompt);
$("temperature").addEventListener("input", showDials);
$("pace").addEventListener("input", showDials);
$("surprise").addEventListener("change", showSurprise);
$("copy").addEventListener("click", () => copy(wholeText(), "The text is copied."));
$("link").addEventListener("click", () => copy(address(), "The link is copied: it holds the prompt and the temperature."));
$("save").addEventListener("click", save);
$("theme").addEventListener("click", () => showDark(document.documentElement.dataset.theme !== "dark"));
$("prompt").addEventListener("input", () => {
  stop();
  manuscript.ready = false;
  clearTimeout(unread);
  unread = setTimeout(readPrompt, READ_AFTER);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    toggle();
  }
});
readPrompt();
