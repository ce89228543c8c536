// Show a long text in which each piece has a colour, with an overview beside it. A page sets `reader.heatAt` and `reader.chosen`.
// All of the text is in the page, so that the browser finds and copies it; only pieces near the screen have elements of their own.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const LEVELS = 7; // colours above the lowest
const ROW = 1000; // pieces of a line that are shown together
const BLOCK = 20; // rows that are laid out together
const SECTION = 40; // blocks whose places on the screen are known only if one of them is near it
const COLUMNS = 80; // of the overview
const LEAST_ROWS = 200; // of the overview, so that short texts are not stretched
const BUDGET = 8; // milliseconds a frame for elements of pieces
const NEAR = 0.6; // of the screen's height, above and below it
const SIGNS = { "\n": "\u21b5", "\t": "\u21e5", " ": "\u2423" };

/** Return the bytes of base64 text between two numbers of bytes. */
function bytesOf(base64, from = 0, to = Infinity) {
  const first = Math.floor(from / 3);
  const part = base64.slice(4 * first, 4 * Math.ceil(to / 3));
  const bytes = Uint8Array.fromBase64?.(part) ?? Uint8Array.from(atob(part), (one) => one.charCodeAt(0));
  return bytes.slice(from - 3 * first, to - 3 * first);
}

/** Return numbers of 1, 2 or 4 bytes from base64 text. */
function numbersOf(base64, size, from = 0, to = Infinity) {
  return new { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[size](bytesOf(base64, size * from, size * to).buffer);
}

/** Return an element with a class and contents: texts, never markup, or elements. */
function element(kind, name, ...contents) {
  const made = document.createElement(kind);
  if (name) made.className = name;
  made.append(...contents);
  return made;
}

/** Return a token as a card shows it. */
function shown(token) {
  return token === null ? "(end)" : token.replace(/[\n\t ]/g, (one) => SIGNS[one]);
}

/** Return the text of a place with a few pieces around it. */
function around(place, count = 12) {
  const part = (from, to) => Array.from(reader.ids.subarray(Math.max(from, 0), to), (id) => data.tokens[id]).join("").replaceAll("\n", " ");
  return element("span", "around", part(place - count, place), element("b", "", shown(reader.tokenAt(place))), part(place + 1, place + count));
}

/** Return bars with names and figures; each is [name, share from -1 to 1, figure, whether it is the one in the text]. */
function bars(entries) {
  return element("ul", "bars", ...entries.map(([name, share, figure, own]) => {
    const fill = element("span", share < 0 ? "fill below" : "fill");
    fill.style.transform = `scaleX(${Math.abs(share)})`;
    return element("li", own ? "own" : "", element("kbd", "", name), element("span", "track", fill), element("span", "share", figure));
  }));
}

/** The first of the sorted numbers from `from` on that is above a value. */
function above(sorted, value, from = 0) {
  let [low, high] = [from, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The number of the first of some elements, from the top of the page to the bottom, that ends below a height of the screen. */
function firstBelow(elements, height) {
  let [low, high] = [0, elements.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (elements[middle].getBoundingClientRect().bottom > height) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Return rows [start, stop, number of the line or 0]: the lines, and long ones in parts that end after a space, if there is one. */
function rowsOf(starts, numbers, ids) {
  const rows = [];
  const isSpace = data.tokens.map((token) => /\s$/.test(token));
  starts.forEach((start, line) => {
    const stop = starts[line + 1] ?? ids.length;
    let number = numbers[line];
    while (stop - start > ROW) {
      let end = start + ROW;
      while (end > start + ROW / 2 && !isSpace[ids[end - 1]]) end--;
      if (end === start + ROW / 2) end = start + ROW;
      rows.push([start, end, number]);
      [start, number] = [end, 0];
    }
    rows.push([start, stop, number]);
  });
  return rows;
}

const reader = {
  text: $("text"),
  heatAt: () => 0, // the colour of a place: from 0 to 1, or from -1 to 1
  chosen: () => {}, // called with the place of the cursor
  current: -1, // the place of the cursor
  scrolled: 0, // where the page was in the frame before
  threshold: 0, // pieces below it have no colour

  begin() {
    this.ids = numbersOf(data.ids, data.size);
    this.numbers = numbersOf(data.numbers, 4);
    this.starts = numbersOf(data.starts, 4);
    this.rows = rowsOf(this.starts, this.numbers, this.ids);
    this.rowStarts = Uint32Array.from(this.rows, ([start]) => start);
    this.lengths = Uint8Array.from(data.tokens, (token) => Math.min(token.length, 255));
    this.makeBlocks();
    overview.begin();
    addEventListener("scroll", () => this.askForLook(), { passive: true });
  },

  tokenAt(place) {
    return data.tokens[this.ids[place]];
  },

  charactersOf([start, stop]) {
    let count = 0;
    for (let place = start; place < stop; place++) count += this.lengths[this.ids[place]];
    return count;
  },

  makeBlocks() {
    this.lines = []; // the element of each row
    this.blocks = [];
    for (let first = 0; first < this.rows.length; first += BLOCK) {
      const block = element("div", "block");
      for (const row of this.rows.slice(first, first + BLOCK)) {
        const line = element("p", "", this.plain(row));
        if (row[2]) line.dataset.line = row[2];
        this.lines.push(line);
        block.append(line);
      }
      block.number = this.blocks.push(block) - 1;
    }
    this.characters = Uint32Array.from(this.rows, (row) => this.charactersOf(row));
    this.sections = [];
    for (let first = 0; first < this.blocks.length; first += SECTION) {
      this.sections.push(element("div", first ? "section later" : "section", ...this.blocks.slice(first, first + SECTION)));
    }
    // A browser lays out new elements of "content-visibility: auto" once before it finds that they are not on the screen.
    requestAnimationFrame(() => requestAnimationFrame(() => this.sections.forEach((section) => section.classList.remove("later"))));
    this.near = new Set();
    this.text.append(...this.sections);
    new ResizeObserver(() => this.estimate()).observe(this.text);
  },

  plain([start, stop]) {
    let text = "";
    for (let place = start; place < stop; place++) text += this.tokenAt(place);
    return text.replace(/\n$/, "");
  },

  /** Estimate the heights of blocks that were never on the screen from the letters of their lines. */
  estimate() {
    const style = getComputedStyle(this.text);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `${style.fontSize} ${style.fontFamily}`;
    const sample = this.lines.slice(0, 50).map((line) => line.textContent).join("").slice(0, 2000) || "e";
    const letters = Math.max(1, Math.floor((this.lines[0].clientWidth * sample.length) / pen.measureText(sample).width));
    this.askForLook();
    if (letters === this.letters) return;
    this.letters = letters;
    const height = parseFloat(style.lineHeight);
    for (const section of this.sections) {
      const counts = [...section.children].map((block) => this.linesOf(block));
      counts.forEach((count, place) => (section.children[place].style.containIntrinsicHeight = `auto ${count * height}px`));
      section.style.containIntrinsicHeight = `auto ${counts.reduce((sum, one) => sum + one, 0) * height}px`;
    }
  },

  /** Return about how many lines of the screen a block needs. */
  linesOf(block) {
    let count = 0;
    for (let row = block.number * BLOCK; row < (block.number + 1) * BLOCK && row < this.rows.length; row++) {
      count += Math.max(1, Math.ceil(this.characters[row] / this.letters));
    }
    return count;
  },

  askForLook() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      this.look();
    });
  },

  /** Return the number of the block at a height of the screen. */
  blockAt(height) {
    const section = firstBelow(this.sections, height);
    return section * SECTION + firstBelow(this.sections[section].children, height);
  },

  /** Give pieces near the screen elements of their own, a few milliseconds a frame, and take them from others. */
  look() {
    const end = performance.now() + BUDGET;
    const [first, last] = [this.blockAt(-NEAR * innerHeight), this.blockAt((1 + NEAR) * innerHeight)];
    const top = this.blockAt(0);
    overview.frame();
    for (const block of this.near) if (block.number < first || block.number > last) this.leave(block);
    const rests = Math.abs(scrollY - this.scrolled) < innerHeight; // else these blocks are gone in the next frame
    this.scrolled = scrollY;
    const order = Array.from({ length: last - first + 1 }, (_, count) => first + count);
    order.sort((one, other) => Math.abs(one - top) - Math.abs(other - top));
    const waiting = order.map((number) => this.blocks[number]).filter((block) => !block.coloured);
    while (waiting.length && rests && performance.now() < end) this.colourBlock(waiting.shift());
    if (waiting.length) this.askForLook();
  },

  leave(block) {
    this.near.delete(block);
    block.coloured = false;
    [...block.children].forEach((line, place) => line.replaceChildren(this.plain(this.rows[block.number * BLOCK + place])));
  },

  colourBlock(block) {
    this.near.add(block);
    for (let place = 0; place < block.childElementCount; place++) this.colourLine(block.number * BLOCK + place, block.coloured);
    block.coloured = true;
  },

  /** Colour the pieces of a row; made: whether they have elements already. */
  colourLine(row, made) {
    const [start, stop] = this.rows[row];
    const line = this.lines[row];
    if (!made) line.replaceChildren(...Array.from({ length: stop - start }, (_, count) => this.cell(start + count)));
    let cell = line.firstChild;
    for (let place = start; place < stop; place++, cell = cell.nextSibling) {
      const name = this.className(place);
      if (cell.className !== name) cell.className = name;
    }
  },

  cell(place) {
    const token = this.tokenAt(place);
    const cell = document.createElement("i");
    if (token !== "\n") cell.textContent = token;
    return cell;
  },

  className(place) {
    const end = this.tokenAt(place) === "\n" ? " end" : "";
    return `${this.levelName(this.heatAt(place))}${end}${place === this.current ? " on" : ""}`;
  },

  isColoured(heat) {
    return Math.abs(heat) >= Math.max(this.threshold, 1 / LEVELS) - 1e-6;
  },

  /** Return the class of a heat: s1 to s7 for positive ones, b1 to b7 for negative ones. */
  levelName(heat) {
    if (!this.isColoured(heat)) return "s0";
    const level = Math.min(LEVELS, Math.floor(Math.abs(heat) * LEVELS + 1e-6));
    return `${heat < 0 ? "b" : "s"}${level}`;
  },

  /** Show changed colours. */
  recolour() {
    this.recolourText();
    overview.askForDrawing();
  },

  recolourText() {
    for (const block of this.near) this.colourBlock(block);
  },

  rowOf(place) {
    return above(this.rowStarts, place) - 1;
  },

  /** Return the cell of a place, which gets an element if it has none. */
  cellAt(place) {
    const row = this.rowOf(place);
    const block = this.blocks[Math.floor(row / BLOCK)];
    if (!block.coloured) this.colourBlock(block);
    return this.lines[row].children[place - this.rows[row][0]];
  },

  /** Move the cursor to a place; centred: whether to show it in the middle of the screen, with its surroundings. */
  go(place, { centred = false } = {}) {
    const before = this.current;
    this.current = place;
    for (const one of [before, place]) {
      if (one < 0) continue;
      const row = this.rowOf(one);
      if (this.blocks[Math.floor(row / BLOCK)].coloured) this.cellAt(one).className = this.className(one);
    }
    this.chosen(place);
    if (centred !== null) this.reveal(place, centred);
  },

  reveal(place, centred) {
    const row = this.lines[this.rowOf(place)];
    if (centred) row.scrollIntoView({ block: "center" }); // its block is laid out now
    this.cellAt(place).className = this.className(place);
    this.cellAt(place).scrollIntoView({ block: centred ? "center" : "nearest" });
  },

  placeOf(cell) {
    const line = cell.closest?.("#text i")?.parentElement;
    if (!line) return -1;
    const block = line.parentElement;
    const row = block.number * BLOCK + Array.prototype.indexOf.call(block.children, line);
    return this.rows[row][0] + Array.prototype.indexOf.call(line.children, cell);
  },

  /** Return the place in the row above or below. */
  step(place, by) {
    const row = this.rowOf(place);
    const next = this.rows[row + by];
    if (!next) return place;
    return Math.min(next[0] + place - this.rows[row][0], next[1] - 1);
  },

  /** Return the next place from the cursor on, or the previous one, that has a colour; -1 if there is none. */
  find(by) {
    const from = this.current < 0 ? (by > 0 ? -1 : 0) : this.current;
    for (let place = from + by; place >= 0 && place < this.ids.length; place += by) {
      if (this.isColoured(this.heatAt(place))) return place;
    }
    return -1;
  },

  /** Return how many places have a colour. */
  count() {
    let count = 0;
    for (let place = 0; place < this.ids.length; place++) count += this.isColoured(this.heatAt(place));
    return count;
  },
};

function jump(by) {
  const place = reader.find(by);
  if (place >= 0) reader.go(place, { centred: true });
}

reader.text.addEventListener("pointerover", (event) => {
  const place = event.pointerType === "mouse" ? reader.placeOf(event.target) : -1;
  if (place >= 0 && place !== reader.current) reader.go(place, { centred: null });
});
reader.text.addEventListener("click", (event) => {
  const place = reader.placeOf(event.target);
  if (place >= 0) reader.go(place, { centred: null });
});
reader.text.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const place = reader.current;
  const last = reader.ids.length - 1;
  const moves = {
    ArrowRight: () => Math.min(place + 1, last),
    ArrowLeft: () => Math.max(place - 1, 0),
    ArrowDown: () => (place < 0 ? 0 : reader.step(place, 1)),
    ArrowUp: () => (place < 0 ? 0 : reader.step(place, -1)),
    Home: () => 0,
    End: () => last,
    n: () => reader.find(1),
    p: () => reader.find(-1),
  };
  if (!Object.hasOwn(moves, event.key)) return;
  event.preventDefault();
  const next = moves[event.key]();
  if (next >= 0) reader.go(next, { centred: !event.key.startsWith("Arrow") });
});
$("next").addEventListener("click", () => jump(1));
$("previous").addEventListener("click", () => jump(-1));
