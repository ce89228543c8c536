// What is read and written, in slices of time between which the browser draws.

const SLICE = 12; // milliseconds of work a frame

/** The text so far and the network that has read it. Work comes as generators, which stop after each step. */
class Manuscript {
  constructor(described, vocabulary, network) {
    Object.assign(this, { described, vocabulary, network });
    this.silent = Array.from({ length: vocabulary.size }, (_, token) => vocabulary.isSilent(token));
    this.logits = new Float32Array(vocabulary.size);
  }

  /** Take a prompt; it is read by `read`. */
  begin(prompt, label) {
    const { tokens, unknown } = this.vocabulary.encode(prompt);
    Object.assign(this, { prompt: tokens, unknown, pieces: [], decode: this.vocabulary.decoder(), drawn: 0, waiting: 0, cost: 0, costed: 0 });
    const begins = label ? this.vocabulary.firstLabel + this.vocabulary.labels.indexOf(label) : BOUNDARY;
    this.primer = this.described.primer.map((token) => (token === BOUNDARY ? begins : token));
    this.ready = false;
  }

  /** Feed the prompt as training did: before one shorter than the context comes a piece of what was learnt from. */
  *read() {
    this.network.reset();
    if (this.prompt.length) {
      yield* this.feed(this.primerFor(0));
      this.given = [this.surprise(this.prompt[0].id, false)];
      this.network.reset();
    } else this.given = [];
    yield* this.feed(this.primerFor(this.prompt.length));
    for (const [place, { id }] of this.prompt.entries()) {
      if (place) this.given.push(this.surprise(id, true));
      this.network.step(id);
      yield;
    }
    this.start = this.network.state;
    this.beginText();
    this.ready = true;
  }

  *feed(tokens) {
    for (const token of tokens) {
      this.network.step(token);
      yield;
    }
  }

  primerFor(length) {
    const room = Math.max(this.described.context_length - length, this.vocabulary.labels.length || !length ? 1 : 0);
    return room ? this.primer.slice(-room) : [];
  }

  /** Put the prompt at the beginning of a text. */
  beginText() {
    this.begun = this.prompt.length > 0;
    this.prompt.forEach(({ text }, place) => this.add(text, this.given[place], true));
  }

  /** Return the logits of the next token, those that cannot come at minus infinity; good until the next call. */
  expected(begun) {
    const { logits, silent } = this;
    logits.set(this.network.logits);
    for (let token = 0; token < logits.length; token++) if (silent[token]) logits[token] = -Infinity;
    if (!this.described.ends || !begun) logits[BOUNDARY] = -Infinity;
    return logits;
  }

  /** Return the bits that a token costs at temperature 1; none for one that is read but never drawn. */
  surprise(token, begun) {
    return this.silent[token] ? NaN : -Math.log2(softmax(this.expected(begun))[token]);
  }

  probabilities(temperature) {
    const logits = this.expected(this.begun);
    if (temperature > 0) return softmax(logits, temperature);
    const best = argmax(logits);
    return Float64Array.from(logits, (_, token) => Number(token === best));
  }

  /** Write up to so many tokens. */
  *write(count, temperature) {
    for (let written = 0; written < count; written++) {
      this.set(draw(this.probabilities(temperature()), Math.random()));
      yield;
    }
  }

  /** Let a token be the next. After a text's end another one begins as this one did. */
  set(token) {
    const bits = this.surprise(token, this.begun);
    this.drawn++;
    this.add(this.decode(token), bits, false);
    if (token === BOUNDARY) {
      this.add("\n", 0, false);
      this.network.state = this.start;
      this.beginText();
      return;
    }
    this.begun = true;
    this.network.step(token);
  }

  add(text, bits, given) {
    this.waiting += bits; // a character of several bytes costs what they cost together, a line's end what the boundary does
    if (!text) return;
    this.pieces.push({ text, bits: this.waiting, given });
    if (!Number.isNaN(this.waiting)) {
      this.cost += this.waiting;
      this.costed++;
    }
    this.waiting = 0;
  }
}

/** Gives a generator its slices of time, at a pace, until it ends or gives way to another. */
class Slices {
  run(steps, { pace = () => Infinity, shown, ended }) {
    const job = (this.job = { steps, ended });
    let before = performance.now();
    let allowance = 1;
    const slice = () => {
      if (this.job !== job) return;
      const now = performance.now();
      const rate = pace();
      allowance = rate === Infinity ? rate : Math.min(allowance + ((now - before) * rate) / 1000, Math.max(rate / 10, 1));
      before = now;
      let done = false;
      while (!done && allowance >= 1 && performance.now() < now + SLICE) {
        done = steps.next().done;
        allowance--;
      }
      shown();
      if (done) this.end();
      else requestAnimationFrame(slice);
    };
    slice();
  }

  end() {
    const job = this.job;
    this.job = null;
    job?.ended();
  }
}
