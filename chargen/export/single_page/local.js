// Ask the engine in this page, which runs in a worker: the text of its script, with the weights, is in the page.

const $text = (id) => document.getElementById(id).textContent;
const described = JSON.parse($text("model"));
const worker = new Worker(URL.createObjectURL(new Blob([$text("engine")], { type: "text/javascript" })));
const asked = new Map(); // requests without an answer, by number
let numAsked = 0;

worker.postMessage({ described, numbers: $text("weights"), module: described.simd });

worker.onmessage = ({ data: { id, event, value, error } }) => {
  const request = asked.get(id);
  if (!request) return;
  if (event) return request.heard(event);
  asked.delete(id);
  if (error) request.refuse(new Refused(error));
  else request.answer(value);
};

worker.onerror = () => {
  for (const { refuse } of asked.values()) refuse(new Refused("The network in this page does not run in this browser."));
  asked.clear();
};

/** Return the answer to a request; before it come the events that are `heard`. Throws Refused. */
function ask(name, body, signal, heard) {
  const id = ++numAsked;
  signal.addEventListener("abort", () => {
    if (asked.delete(id)) worker.postMessage({ id });
  });
  return new Promise((answer, refuse) => {
    asked.set(id, { answer, refuse, heard });
    worker.postMessage({ id, name, body });
  });
}

function aboutSize() {
  const number = described.tensors.reduce((sum, [, shape]) => sum + shape.reduce((product, one) => product * one, 1), 0);
  const half = described.precision === "float16" ? " of half precision" : "";
  const grams = described.memory ? ` and ${format(described.memory.size - 1)} n-grams` : "";
  return `${format(number)} weights${half}${grams}, ${format(described.bytes / 1000)} kB for the whole page.`;
}
