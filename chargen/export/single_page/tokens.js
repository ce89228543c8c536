// Map text to token ids and back, for each kind of tokens.

// \w and \s as in Python's re; JavaScript's differ.
const LETTERS = "\\p{L}\\p{N}_";
const SPACES = "\\t-\\r\\x1c-\\x1f\\x85\\p{Z}";
const WORD = new RegExp(` ?[${LETTERS}]+| ?[^${LETTERS}${SPACES}]|[${SPACES}]`, "gu");
const UNKNOWN_WORD = BOUNDARY + 1;

// What keyboards of phones type for plain characters, and the other way round.
const PLAIN = { "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2026": "...", "\u00a0": " " };
const CURLY = { "'": "\u2019", '"': "\u201d", "-": "\u2014" };

const PLACES = 2 ** 24; // more pieces than a word has

/** A priority queue of numbers, the smallest first. */
class Heap {
  items = [];

  get size() {
    return this.items.length;
  }

  get least() {
    return this.items[0];
  }

  push(value) {
    const { items } = this;
    let place = items.push(value) - 1;
    for (let parent = (place - 1) >> 1; place && items[parent] > value; place = parent, parent = (place - 1) >> 1) items[place] = items[parent];
    items[place] = value;
  }

  pop() {
    const { items } = this;
    const least = items[0];
    const last = items.pop();
    if (!items.length) return least;
    let place = 0;
    for (let child = 1; child < items.length; child = 2 * place + 1) {
      if (items[child + 1] < items[child]) child++;
      if (items[child] >= last) break;
      items[place] = items[child];
      place = child;
    }
    items[place] = last;
    return least;
  }
}

class Vocabulary {
  constructor(described) {
    this.kind = described.kind;
    this.labels = described.labels;
    this.merges = new Map((described.merges ?? []).map(([first, second], rank) => [JSON.stringify([first, second]), rank]));
    const pieces = {
      character: () => Array.from(described.characters),
      byte: () => Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)),
      word: () => ["", ...described.words],
      bpe: () => [...new Set([...described.characters, ...described.merges.map(([first, second]) => first + second)])],
    }[this.kind]();
    this.texts = ["", ...pieces, ...this.labels.map(() => "")];
    this.ids = new Map(pieces.map((piece, place) => [piece, place + 1]));
    this.firstLabel = pieces.length + 1;
  }

  get size() {
    return this.texts.length;
  }

  /** Whether a token is read but never drawn. */
  isSilent(token) {
    return token >= this.firstLabel || (this.kind === "word" && token === UNKNOWN_WORD);
  }

  /** Return the known characters nearest to an unknown one: a plain quotation mark, a letter without its accent; or null. */
  nearest(character) {
    if (!["character", "bpe"].includes(this.kind)) return null;
    const bare = character.normalize("NFD").replace(/\p{M}/gu, "");
    const known = (text) => text && text !== character && Array.from(text).every((one) => this.ids.has(one));
    return [PLAIN[character], CURLY[character], bare].find(known) ?? null;
  }

  /** Return the same as `encode` with unknown characters read as the nearest known ones, which are `replaced`, a list of pairs. */
  encodeNearest(text) {
    const replaced = new Map();
    const read = Array.from(text, (one) => {
      const nearest = this.ids.has(one) ? null : this.nearest(one);
      if (nearest !== null) replaced.set(one, nearest);
      return nearest ?? one;
    });
    return { ...this.encode(read.join("")), replaced: [...replaced] };
  }

  /** Return the tokens of a text, each { id, text }, and the unknown ones: unknown characters are left out, unknown words are not. */
  encode(text) {
    if (this.kind === "byte") return { tokens: this.encodeBytes(text), unknown: [] };
    if (this.kind === "word") return this.encodeWords(text);
    const characters = Array.from(text);
    const known = characters.filter((one) => this.ids.has(one));
    const unknown = [...new Set(characters.filter((one) => !this.ids.has(one)))];
    const pieces = this.kind === "bpe" ? (known.join("").match(WORD) ?? []).flatMap((word) => this.merged(word)) : known;
    return { tokens: pieces.map((piece) => ({ id: this.ids.get(piece), text: piece })), unknown };
  }

  /** Return a token per word, matched with or without the space before it. A space at the end may belong to the next word. */
  encodeWords(text) {
    const words = (this.ids.has(" ") ? text : text.replace(/ $/, "")).match(WORD) ?? [];
    const respaced = (word) => (word.startsWith(" ") ? word.slice(1) : ` ${word}`);
    const find = (word) => this.ids.get(word) ?? (this.ids.get(respaced(word)) || UNKNOWN_WORD);
    const tokens = words.map((word) => ({ id: find(word), text: word }));
    const unknown = tokens.filter(({ id }) => id === UNKNOWN_WORD).map((token) => token.text.replace(/^ (?=.)/, ""));
    return { tokens, unknown: [...new Set(unknown)] };
  }

  /** Return a token per byte; the text of a character comes with its last byte. */
  encodeBytes(text) {
    const encoder = new TextEncoder();
    return Array.from(text).flatMap((one) => {
      const bytes = Array.from(encoder.encode(one));
      return bytes.map((byte, place) => ({ id: byte + 1, text: place === bytes.length - 1 ? one : "" }));
    });
  }

  /** Return the subwords of a word: always merge the pair with the earliest merge first. */
  merged(word) {
    const pieces = Array.from(word);
    const after = pieces.map((_, place) => place + 1); // the index of the next piece
    const before = pieces.map((_, place) => place - 1);
    const rankAt = (place) =>
      after[place] < pieces.length ? this.merges.get(JSON.stringify([pieces[place], pieces[after[place]]])) : undefined;
    const pairs = new Heap();
    const add = (place) => {
      const rank = place >= 0 ? rankAt(place) : undefined;
      if (rank !== undefined) pairs.push(rank * PLACES + place);
    };
    pieces.forEach((_, place) => add(place));
    while (pairs.size) {
      const rank = Math.floor(pairs.least / PLACES);
      const places = [];
      while (pairs.size && Math.floor(pairs.least / PLACES) === rank) places.push(pairs.pop() % PLACES);
      for (const place of places) {
        if (rankAt(place) !== rank) continue; // one of the two was merged before
        const following = after[place];
        pieces[place] += pieces[following];
        pieces[following] = "";
        after[place] = after[following];
        before[after[place]] = place;
        add(before[place]);
        add(place);
      }
    }
    return pieces.filter((piece) => piece);
  }
}
