// Run the engine in a worker: one request after another, in slices of time between which new messages are read.

const SLICE = 12; // milliseconds
const CLOCK = 8; // tokens between two looks at the clock

let engine = null;
const queue = []; // requests, each { id, steps, body }
const bell = new MessageChannel(); // wakes the worker after it has read its messages; setTimeout would wait 4 ms
bell.port1.onmessage = work;

onmessage = ({ data }) => {
  const { id, name, body, described, numbers, module } = data;
  if (described) engine = makeEngine(described, numbers, bytesOf(module));
  else if (name) queue.push({ id, body, steps: engine[name](body) });
  else queue.splice(0, queue.length, ...queue.filter((one) => one.id !== id)); // it is not wanted any more
  if (name && queue.length === 1) bell.port2.postMessage(null);
};

function work() {
  const job = queue[0];
  if (!job) return;
  try {
    slice(job);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    queue.shift();
    postMessage({ id: job.id, error: error.message });
  }
  if (queue.length) bell.port2.postMessage(null);
}

/** Do a slice of a job and send its tokens in columns, at most `every` at a time, with the next ones. */
function slice({ id, steps, body }) {
  const end = performance.now() + SLICE;
  const [ids, texts, bits] = [[], [], []];
  let step;
  do {
    step = steps.next();
    if (!step.value || step.done) continue;
    ids.push(step.value[0]);
    texts.push(step.value[1]);
    bits.push(step.value[2]);
  } while (!step.done && (ids.length % CLOCK || performance.now() < end) && ids.length !== body.every);
  if (ids.length) postMessage({ id, event: { ids, texts, bits: Float64Array.from(bits), next: engine.best(body.temperature, body.top) } });
  if (!step.done) return;
  queue.shift();
  postMessage({ id, value: step.value });
}
