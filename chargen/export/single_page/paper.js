// Show the text in lines, each piece with its surprise, and find the piece at a place of the screen.

const LINES = 40; // lines laid out together
const CLOCK = 64; // pieces between two looks at the clock
const LEVELS = 7; // colours above the lowest
const MOST_BITS = ["character", "byte"].includes(described.vocabulary.kind) ? 7 : 14; // of the last colour
const GRID_LETTERS = 24; // lines up to this length stand in columns

class Paper {
  /** finished: called with each line that is complete, an element. */
  constructor(pane, finished) {
    Object.assign(this, { pane, finished });
    this.clear();
  }

  clear() {
    this.pane.replaceChildren();
    this.shown = 0;
    this.last = null;
    this.line = this.newLine();
  }

  /**
   * Append the pieces that are not shown yet: each in its own element while surprise is shown, else pieces of one kind together.
   * cursor: the number of the piece that is looked at, or null; later ones are pale. budget: milliseconds after which the rest is
   * left for the next call. Return whether all pieces are shown.
   */
  add(pieces, { each, cursor, budget = Infinity }) {
    const end = performance.now() + budget;
    let text = "";
    const flush = () => {
      if (text) this.last.append(text);
      text = "";
    };
    for (; this.shown < pieces.length; this.shown++) {
      const number = this.shown;
      if (number % CLOCK === 0 && performance.now() > end) break;
      const piece = pieces[number];
      const place = cursor === null || number < cursor ? "" : number === cursor ? " looked-at" : " after";
      const name = (piece.given ? "given" : "written") + place;
      if (piece.text === "\n") {
        flush();
        if (number === cursor) this.start("looked-at", number).append("\u21b5");
        this.finished(this.line);
        this.line = this.newLine();
        continue;
      }
      if (each || this.last?.kind !== name || number === cursor) {
        flush();
        this.start(name, number);
        if (each) this.colour(piece.bits);
      }
      text += piece.text;
      if (each) this.last.title = Number.isNaN(piece.bits) ? "" : `${piece.bits.toFixed(1)} bits`;
    }
    flush();
    return this.shown === pieces.length;
  }

  /** Start an element for pieces of a kind, from a number on. */
  start(kind, number) {
    this.last = document.createElement("span");
    Object.assign(this.last, { className: kind, kind, first: number });
    this.line.append(this.last);
    return this.last;
  }

  colour(bits) {
    if (!Number.isNaN(bits)) this.last.classList.add(`s${levelOf(bits)}`);
  }

  /** Start a line. Lines are grouped in elements, so that the browser does not lay out the whole text again. */
  newLine() {
    const line = document.createElement("p");
    const lines = this.pane.lastChild;
    this.last = null;
    if (lines && lines.childElementCount < LINES) lines.append(line);
    else {
      const more = document.createElement("div");
      more.append(line);
      this.pane.append(more);
    }
    return line;
  }

  /** Return the number of the piece under a point of the screen, or null. */
  pieceAt(pieces, x, y) {
    const span = document.elementFromPoint(x, y)?.closest("#text span");
    if (span?.first === undefined) return null;
    let number = span.first;
    for (let left = offsetAt(span, x, y); left >= pieces[number].text.length && number + 1 < pieces.length; number++) {
      left -= pieces[number].text.length;
    }
    return number;
  }
}

function levelOf(bits) {
  return Math.max(0, Math.min(LEVELS, Math.floor((bits * LEVELS) / MOST_BITS)));
}

/** Return how many UTF-16 units of an element's text are before the one under a point. */
function offsetAt(element, x, y) {
  let before = 0;
  const range = document.createRange();
  for (const node of element.childNodes) {
    for (let place = 0; place < node.length; place++) {
      range.setStart(node, place);
      range.setEnd(node, place + 1);
      for (const box of range.getClientRects()) {
        if (x >= box.left && x < box.right && y >= box.top && y < box.bottom) return before + place;
      }
    }
    before += node.length;
  }
  return 0;
}
