// Store the text so far, and run the work on it in slices of time, between which the browser draws.

const SLICE = 12; // milliseconds of work a frame
const WAITING = Symbol("waiting"); // the value of a step that has to wait

/** An error whose message is shown in the page. */
class Refused extends Error {}

/**
 * A text in pieces, each { text, bits, given }. A subclass has the network, here or on a server: it reads the prompt and
 * writes with generators, which yield after each step, and returns the probabilities of the next token.
 */
class Manuscript {
  /**
   * Remove all text. prompt: its pieces of text, given: the bits of each, unknown: the characters that were left out, replaced:
   * those that were read as others.
   */
  clear() {
    Object.assign(this, { prompt: [], given: [], unknown: [], replaced: new Map(), pieces: [], drawn: 0, waiting: 0, cost: 0, counted: 0, ready: false });
  }

  /** Put the prompt at the beginning of a text. */
  beginText() {
    this.begun = this.prompt.length > 0;
    this.prompt.forEach(({ text }, place) => this.add(text, this.given[place], true));
  }

  /** Add the text of a drawn or chosen token; after the end of a text another one begins with the same prompt. */
  addDrawn(text, bits, ends) {
    this.drawn++;
    this.begun = true;
    this.add(text, bits, false);
    if (!ends) return;
    this.add("\n", 0, false);
    this.beginText();
  }

  add(text, bits, given) {
    this.waiting += bits; // the bits of a multi-byte character are the sum of its bytes' bits; those of a line end are the boundary's
    if (!text) return;
    this.pieces.push({ text, bits: this.waiting, given });
    if (!Number.isNaN(this.waiting)) {
      this.cost += this.waiting;
      this.counted++;
    }
    this.waiting = 0;
  }
}

/** Runs a generator in slices of time, at a given speed, until it ends, fails or is replaced. */
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
    job?.steps.return(); // so that it cancels its request
    job?.ended();
  }
}
