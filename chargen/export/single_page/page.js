// Handle the input and the display of the page. The scripts before this one define everything else.

const BARS_EVERY = 100; // milliseconds
const BUDGET = 4; // milliseconds a frame for new elements of the text
const READ_AFTER = 150; // milliseconds without a key
const STARTS = 3; // prompts to try
const TEXTS = 20; // earlier texts
const SLOW = 100; // characters a second, at which complete lines are announced

const { kind, labels } = described.vocabulary;
const slices = new Slices();
const manuscript = new Manuscript(described);
const paper = new Paper($("text"), finished);
const rows = makeRows(Math.min(SHOWN, described.vocab_size), choose);
const earlier = []; // texts to go back to
const later = [];
let writing = null; // while writing: the start time, and the number of tokens drawn before
let cursor = null; // the number of the piece whose candidates are shown, or null for the end of the text
let barsAt = -Infinity;
let unread = 0; // the timer of a prompt that is not read yet
let whenRead = null; // what to do after reading the prompt

/** Begin a text with the prompt; the previous one can be brought back. */
function readPrompt() {
  clearTimeout(unread);
  unread = 0;
  stop();
  keepText();
  manuscript.begin($("prompt").value, $("label").value, nextSeed());
  redraw();
  $("text").setAttribute("aria-busy", "true");
  slices.run(manuscript.read(), { shown: () => {}, ended: afterReading, failed });
}

/** Read the prompt unless it is that of the text; if it is that of the earlier text, bring this back. */
function afterTyping() {
  unread = 0;
  const typed = $("prompt").value;
  if (typed === manuscript.typed && (manuscript.ready || slices.job)) return;
  if (!manuscript.drawn && earlier.at(-1)?.typed === typed) goTo(earlier, later);
  else readPrompt();
}

function afterReading() {
  const names = manuscript.unknown.slice(0, 5).map(nameOf).join(", ");
  const more = manuscript.unknown.length > 5 ? " and more" : "";
  const what = kind === "word" ? "reads them as unknown words" : "leaves them out";
  const replaced = manuscript.replaced.slice(0, 5).map(([from, to]) => `${from} as ${to}`);
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
  if (unread) {
    clearTimeout(unread);
    afterTyping();
  } else if (!manuscript.ready && !slices.job) readPrompt();
  if (!manuscript.ready) {
    whenRead = start;
    return;
  }
  cutAtCursor();
  writing = { since: performance.now(), drawn: manuscript.drawn };
  $("write").textContent = "Stop";
  $("text").classList.add("busy");
  say("Writing.");
  bringIntoView();
  slices.run(manuscript.write(number("length"), settings, pace, rows.length), { pace, shown: () => show(false), ended: stop, failed });
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

/** Append a token that the user chose, at the cursor if there is one. */
function choose(token) {
  if (writing || unread || !manuscript.ready) return;
  cutAtCursor();
  manuscript.set(token);
  show(true);
}

/** Keep the text for Earlier. */
function keepText() {
  if (!manuscript.drawn) return;
  earlier.push(manuscript.snapshot());
  if (earlier.length > TEXTS) earlier.shift();
  later.length = 0;
}

/** Go to the last of some texts, and put the current one among others. */
function goTo(from, to) {
  const text = from.pop();
  if (!text) return;
  stop();
  slices.end();
  if (manuscript.drawn) to.push(manuscript.snapshot());
  manuscript.restore(text);
  $("prompt").value = text.typed;
  if (text.label) $("label").value = text.label;
  $("text").removeAttribute("aria-busy");
  cursor = null;
  redraw();
  say(from === earlier ? "The earlier text is back." : "The later text is back.");
}

/** Look at a piece: show the tokens that were probable there. null: at the end of the text. */
function lookAt(piece) {
  if (writing || unread || !manuscript.ready) return;
  cursor = piece !== null && piece >= 0 && piece < manuscript.pieces.length ? piece : null;
  redraw();
  showDials();
  if (cursor !== null) $("text").querySelector(".looked-at")?.scrollIntoView({ block: "nearest" });
}

/** Remove the text from the cursor on; Earlier brings it back. */
function cutAtCursor() {
  if (cursor === null) return;
  keepText();
  manuscript.cut(cursor);
  if ($("seed").value === "") manuscript.seed = nextSeed(); // else it would write the same again
  cursor = null;
  redraw();
  showDials();
}

function say(text) {
  $("note").textContent = text;
}

/** Finish a line on the page. */
function finished(line) {
  if (writing && pace() <= SLOW) $("announced").textContent = line.textContent;
  if (described.ends) finishLine(line);
}

/** Return the whole text. */
function wholeText() {
  return manuscript.pieces.map(({ text }) => text).join("");
}

function copy(text, done) {
  say(copyText(text) ? done : "The browser does not allow copying.");
}

/** Show the text from the beginning. */
function redraw() {
  paper.clear();
  show(true);
}

/** Update the page, and return whether all of the text is shown. whole: take the time that this needs. */
function show(whole) {
  const pane = $("text");
  const follows = cursor === null && (writing || pane.scrollHeight - pane.scrollTop - pane.clientHeight < 60);
  const complete = paper.add(manuscript.pieces, { each: $("surprise").checked, cursor, budget: whole ? Infinity : BUDGET });
  $("keep").hidden = !manuscript.drawn;
  $("earlier").hidden = !earlier.length;
  $("later").hidden = !later.length;
  $("samples").hidden = !described.samples.length || manuscript.drawn > 0;
  if (follows) pane.scrollTop = pane.scrollHeight;
  if (whole || performance.now() - barsAt > BARS_EVERY) showFigures();
  return complete;
}

/** On a phone, show the text rather than what is above it. */
function bringIntoView() {
  if (matchMedia("(max-width: 52rem)").matches) scrollTo(0, scrollY + $("text").getBoundingClientRect().top - 8);
}

function showFigures() {
  barsAt = performance.now();
  const { cost, counted } = manuscript;
  const figures = [`${format(counted)} ${tokenName(counted)} written`];
  if (counted) figures.push(`${(cost / counted).toFixed(2)} bits each`);
  if (writing && written().seconds > 0.5) figures.push(`${format(written().count / written().seconds)} a second`);
  $("figures").textContent = counted ? figures.join(" \u00b7 ") : "";
  showBars();
}

function showBars() {
  if (unread || !manuscript.ready) return;
  const candidates = manuscript.best(settings().temperature, rows.length, cursor);
  const drawn = cursor === null ? undefined : manuscript.tokens[manuscript.pieces[cursor].place];
  showRows(rows, candidates, { settings: settings(), disabled: Boolean(writing), drawn });
}

function tokenName(count) {
  const name = { character: "character", byte: "byte" }[kind] ?? "token";
  return count === 1 ? name : `${name}s`;
}

function format(number) {
  return Math.round(number).toLocaleString("en");
}

/** Take the settings from the page, and show them. */
function showDials() {
  chosen = readChosen();
  const { temperature } = chosen;
  const values = { temperature: temperature.toFixed(2), pace: pace() === Infinity ? "no limit" : `${format(pace())} a second` };
  for (const [id, value] of Object.entries(values)) {
    $(`${id}-value`).textContent = value;
    $(id).setAttribute("aria-valuetext", value);
  }
  document.body.classList.toggle("fast", pace() === Infinity);
  const at = temperature === 0 ? "0: always the most probable" : temperature.toFixed(2);
  const here = cursor === null ? "Click one to append it." : "Click one to go on from here with it.";
  $("next-note").textContent = `At temperature ${at}. ${here}`;
  showBars();
}

function showSurprise() {
  $("legend").hidden = !$("surprise").checked;
  $("text").classList.toggle("read", $("surprise").checked);
  redraw();
}

/** Describe the model: all of its texts are inserted as text, never as markup. */
function introduce() {
  const { network: config, name, bits_per_character: bits, samples, ends } = described;
  const cells = { lstm: "An LSTM", mlstm: "A multiplicative LSTM", gru: "A GRU", simplernn: "A SimpleRNN", dense: "A SimpleRNN" };
  const layers = config.num_layers === 1 ? `${config.hidden_size} units` : `${config.num_layers} layers of ${config.hidden_size} units`;
  const kinds = { character: "one character at a time", byte: "one byte at a time", word: "word by word", bpe: "in parts of words" };
  if (name) {
    document.title = `${name} \u2013 chargen`;
    $("name").textContent = name;
  }
  const learnt = bits ? `; ${bits.toFixed(2)} bits a character` : "";
  const together = described.members ? ` (one of ${described.members.length} networks, whose predictions are averaged)` : "";
  $("about").textContent = `${cells[config.cell]} of ${layers}${together} that writes ${kinds[kind]}${learnt}`;
  $("size").textContent = aboutSize();
  $("most-bits").textContent = `${MOST_BITS} bits and more`;
  $("label-field").hidden = !labels.length;
  $("next").classList.toggle("words", ["word", "bpe"].includes(kind));
  $("text").classList.toggle("grid", ends && samples.every((sample) => sample.length <= GRID_LETTERS));
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
      $("write").focus();
    });
    $("starts").append(button);
  }
  $("starts").hidden = !$("starts").childElementCount;
}
