// Store the text so far; read and continue it with the network, which `ask` reaches: in this page, or on a server.

const END = 0; // the token at the end of a text
const SPAN_SECONDS = 2; // seconds of text per request, so that many users can write at the same time
const FRAMES = 60; // updates of the next tokens' probabilities a second
const COPIED = ["typed", "label", "seed", "prompt", "unknown", "replaced", "pieces", "tokens", "drawn", "cost", "counted", "ready"];

/**
 * A text in pieces, each { text, bits, given, place, drawn }: `given` ones belong to the prompt; before it were `place` tokens, of
 * which `drawn` were drawn. Reading and writing are generators, which yield after each step.
 */
class Manuscript {
  constructor(described) {
    this.described = described;
    this.version = 0; // changes with the text
    this.changed = () => {}; // called when new probabilities of the next token arrive
    this.begin("", "", 0);
  }

  /** Remove all text and set the prompt; `read` reads it. seed: the seed of the draws. */
  begin(typed, label, seed) {
    Object.assign(this, { typed, label: label || null, seed, prompt: [], unknown: [], replaced: [], pieces: [], tokens: [], next: [] });
    Object.assign(this, { drawn: 0, cost: 0, counted: 0, ready: false });
    this.startPiece();
  }

  /** Return a copy of the text, for `restore`. */
  snapshot() {
    const copy = (value) => (Array.isArray(value) ? [...value] : value);
    return Object.fromEntries(COPIED.map((name) => [name, copy(this[name])]));
  }

  restore(snapshot) {
    Object.assign(this, structuredClone(snapshot));
    this.startPiece();
  }

  /** Remove the pieces from number `at` on. */
  cut(at) {
    const { place, drawn } = this.pieces[at];
    this.pieces.length = at;
    this.tokens.length = place;
    this.drawn = drawn;
    const counted = this.pieces.filter((piece) => !piece.given && !Number.isNaN(piece.bits));
    this.counted = counted.length;
    this.cost = counted.reduce((sum, { bits }) => sum + bits, 0);
    this.startPiece();
  }

  startPiece() {
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.known = null; // the place, version and temperature of `next`
    this.version++;
    this.markStart();
  }

  markStart() {
    Object.assign(this, { waiting: 0, from: this.tokens.length, fromDrawn: this.drawn });
  }

  *read() {
    const skips = ["character", "bpe"].includes(this.described.vocabulary.kind);
    const body = { text: this.typed, label: this.label, on_unknown: skips ? "skip" : "error" };
    const { ids, pieces, unknown, replaced = [] } = yield* this.wait("score", body);
    let place = 0;
    const prompt = pieces.map(([text, bits]) => {
      const length = this.isOfBytes ? new TextEncoder().encode(text).length : 1;
      return { text, bits: bits ?? NaN, ids: ids.slice(place, (place += length)) };
    });
    Object.assign(this, { prompt, unknown, replaced });
    this.beginText();
    this.ready = true;
  }

  /** Put the prompt at the beginning of a text. */
  beginText() {
    for (const { text, bits, ids } of this.prompt) {
      this.tokens.push(...ids);
      this.add(text, bits, true);
    }
  }

  /** Wait for the answer to a request. */
  *wait(name, body) {
    const control = new AbortController();
    let found = null;
    ask(name, body, control.signal).then((value) => (found = { value }), (error) => (found = { error }));
    try {
      while (!found) yield WAITING;
    } finally {
      control.abort();
    }
    if (found.error) throw found.error;
    return found.value;
  }

  /** Return the text before a piece, or all of it, for a request. Of a text that is too long for a server, the end. */
  textBefore(at) {
    const end = at === null ? this.tokens.length : this.pieces[at].place;
    const start = end ? this.tokens.lastIndexOf(END, end - 1) + 1 : 0;
    const ids = this.tokens.slice(start, end);
    const most = this.described.limits?.text ?? Infinity;
    const prompted = this.prompt.reduce((sum, piece) => sum + piece.ids.length, 0);
    if (ids.length > most) return { ids: ids.slice(-most), label: this.label };
    return { ids, label: this.label, given: Math.min(prompted, ids.length) };
  }

  /**
   * Return the most probable next tokens, each { token, text, probability, bits }, after all text or before a piece; the previous
   * ones until an answer arrives.
   */
  best(temperature, count, at = null) {
    if (!this.writing && !this.knows({ version: this.version, temperature, at })) this.requestNext(temperature, count, at);
    return this.next;
  }

  knows(key) {
    return this.known !== null && Object.entries(key).every(([name, value]) => this.known[name] === value);
  }

  async requestNext(temperature, count, at) {
    if (this.requesting) return;
    this.requesting = true;
    const { version } = this;
    try {
      const { next } = await ask("next", { ...this.textBefore(at), temperature, top: count }, new AbortController().signal);
      if (version === this.version) this.expect(next, temperature, at);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.known = { version, temperature, at }; // so that the request is not repeated
    } finally {
      this.requesting = false;
    }
    this.changed();
  }

  expect(next, temperature, at = null) {
    const text = (id, token) => (this.isByte(id) ? String.fromCharCode(id - 1) : token);
    this.next = next.map(({ id, token, probability, bits }) => ({ token: id, text: text(id, token), probability, bits }));
    this.known = { version: this.version, temperature, at };
  }

  /** Write up to `count` tokens, a few seconds of text per request. */
  *write(count, settings, pace, shown) {
    this.writing = true;
    try {
      for (let written = 0; written < count; ) {
        const before = this.drawn;
        yield* this.span(count - written, settings, pace, shown);
        written += this.drawn - before;
        if (this.drawn === before) throw new Refused("The network wrote nothing.");
      }
    } finally {
      this.writing = false;
    }
  }

  /** Write until the answer ends or the settings change. A step is a token, or all that have arrived if there is no limit. */
  *span(count, settings, pace, shown) {
    const chosen = settings();
    const rate = pace();
    const text = this.textBefore(null);
    const answer = new Answer("complete", {
      ...text,
      ...chosen,
      random_seed: this.seed,
      drawn: this.drawn,
      again: text.given !== undefined, // whether to start another text after the end of one
      length: Math.min(count, this.described.limits?.length ?? count, Math.ceil(rate * SPAN_SECONDS)),
      every: rate === Infinity ? null : Math.ceil(rate / FRAMES), // tokens between two updates of the next tokens' probabilities
      top: shown,
    });
    try {
      for (let event; (event = yield* answer.next()); ) {
        const { ids, texts, bits, next } = event;
        const limited = pace() !== Infinity;
        if (settings() !== chosen) return;
        for (let place = 0; place < ids.length; place++) {
          this.put(ids[place], texts[place], bits[place]);
          if (!limited || place === ids.length - 1) continue;
          yield;
          if (settings() !== chosen) return;
        }
        this.expect(next, chosen.temperature);
        yield limited ? 1 : ids.length;
      }
    } finally {
      answer.close();
    }
  }

  /** Append one of the next tokens. */
  set(token) {
    const { text, bits } = this.next.find((one) => one.token === token);
    this.put(token, text, bits);
  }

  /** Append a token; after the end of a text another one begins with the same prompt. */
  put(id, text, bits) {
    this.tokens.push(id);
    this.drawn++;
    this.version++;
    const whole = this.isByte(id) ? this.decoder.decode(Uint8Array.of(id - 1), { stream: true }) : text;
    this.add(whole ?? this.decoder.decode(), bits, false);
    if (id !== END) return;
    this.add("\n", 0, false);
    this.beginText();
  }

  add(text, bits, given) {
    this.waiting += bits; // the bits of a multi-byte character are the sum of its bytes' bits; those of a line end are the boundary's
    if (!text) return;
    this.pieces.push({ text, bits: this.waiting, given, place: this.from, drawn: this.fromDrawn });
    if (!given && !Number.isNaN(this.waiting)) {
      this.cost += this.waiting;
      this.counted++;
    }
    this.markStart();
  }

  get isOfBytes() {
    return this.described.vocabulary.kind === "byte";
  }

  isByte(id) {
    return this.isOfBytes && id !== END;
  }
}

/** The events of an answer that are not read yet. */
class Answer {
  constructor(name, body) {
    Object.assign(this, { events: [], ended: false, error: null, control: new AbortController() });
    ask(name, body, this.control.signal, (event) => this.events.push(event))
      .catch((error) => (this.error = error))
      .finally(() => (this.ended = true));
  }

  /** Return the next event with tokens, or null after the last one. */
  *next() {
    for (;;) {
      const event = this.events.shift();
      if (event) return event.ids ? event : null;
      if (this.error) throw this.error;
      if (this.ended) return null;
      yield WAITING;
    }
  }

  close() {
    this.control.abort();
  }
}
