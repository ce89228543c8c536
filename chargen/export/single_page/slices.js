// Run the page's work in slices of time, between which the browser draws.

const SLICE = 12; // milliseconds of work a frame
const UPDATE = 30; // milliseconds between two updates of the page, where there is no limit of speed
const MOST = 4000; // tokens between two updates
const WAITING = Symbol("waiting"); // the value of a step that has to wait

/** An error whose message is shown in the page. */
class Refused extends Error {}

/** Runs a generator in slices of time, at a given speed, until it ends, fails or is replaced. */
class Slices {
  /** shown: updates the page; if it returns false, it is called again before the next step. A step is one token or the number it yields. */
  run(steps, { pace = () => Infinity, shown, ended, failed }) {
    this.job?.steps.return();
    const job = (this.job = { steps, ended });
    let before = performance.now();
    let allowance = 1;
    let updated = -Infinity;
    let [complete, tokens] = [true, 0]; // whether all is shown, and what came since the last update
    const slice = () => {
      if (this.job !== job) return;
      const now = performance.now();
      const rate = pace();
      allowance = rate === Infinity ? rate : Math.min(allowance + ((now - before) * rate) / 1000, Math.max(rate / 10, 1));
      before = now;
      let done = false;
      try {
        while (!done && complete && allowance >= 1 && tokens < MOST && performance.now() < now + SLICE) {
          const step = steps.next();
          done = step.done;
          if (step.value === WAITING) break;
          allowance--;
          tokens += step.value ?? 1;
        }
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.job = null;
        failed(error.message);
        return;
      }
      if (done || rate !== Infinity || now - updated > UPDATE) {
        [updated, tokens] = [now, 0];
        complete = shown() !== false;
      }
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
