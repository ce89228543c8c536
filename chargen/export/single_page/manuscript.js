// The text so far, and the slices of time in which work on it is done, between which the browser draws.

const SLICE = 12; // milliseconds of work a frame
const WAITING = Symbol("waiting"); // what a step gives that can do nothing yet

/** Somebody else could not do what was asked, and says why. */
class Refused extends Error {}

/**
 * A text in pieces, each { text, bits, given }. A class that extends it knows who writes: it reads the prompt and writes on by
 * generators, which stop after each step, and tells what may come next.
 */
class Manuscript {
  /** Begin afresh. `prompt` will be pieces of text, `given` the bits of each, `unknown` the characters that were left out. */
  clear() {
    Object.assign(this, { prompt: [], given: [], unknown: [], pieces: [], drawn: 0, waiting: 0, cost: 0, costed: 0, ready: false });
  }

  /** Put the prompt at the beginning of a text. */
  beginText() {
    this.begun = this.prompt.length > 0;
    this.prompt.forEach(({ text }, place) => this.add(text, this.given[place], true));
  }

  /** Add the text of a token that was drawn or chosen; after a text's end another one begins as this one did. */
  addDrawn(text, bits, ends) {
    this.drawn++;
    this.begun = true;
    this.add(text, bits, false);
    if (!ends) return;
    this.add("\n", 0, false);
    this.beginText();
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

/** Gives a generator its slices of time, at a pace, until it ends, fails or gives way to another. */
class Slices {
  run(steps, { pace = () => Infinity, shown, ended, failed }) {
    this.job?.steps.return();
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
      try {
        while (!done && allowance >= 1 && performance.now() < now + SLICE) {
          const step = steps.next();
          done = step.done;
          if (step.value === WAITING) break;
          allowance--;
        }
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.job = null;
        failed(error.message);
        return;
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
    job?.steps.return(); // so that it lets go of what it waits for
    job?.ended();
  }
}
