// Ask the network on the server of this page, through its API.

const BUSY = 429; // the status if too many requests are waiting
const RETRIES = 5;
const described = JSON.parse(document.getElementById("model").textContent);

/** Return the answer to a request; before it come the events that are `heard`. Throws Refused. */
async function ask(name, body, signal, heard) {
  const response = await post(`api/${name}`, heard ? { ...body, stream: true } : body, signal);
  if (!heard) return response.json();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return null;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) heard(inColumns(JSON.parse(event.slice("data: ".length))));
  }
}

/** Return an event with the numbers, the texts and the bits of its tokens apart. */
function inColumns({ tokens, ...event }) {
  const column = (place) => tokens.map((token) => token[place]);
  return tokens ? { ...event, ids: column(0), texts: column(1), bits: column(2) } : event;
}

/** Send a request and return the response; if the server is busy, try again when it says so. Throws Refused. */
async function post(path, body, signal) {
  const content = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
  for (let tries = 0; ; tries++) {
    const response = await fetch(path, content).catch(() => {
      throw new Refused("The server does not answer.");
    });
    if (response.ok) return response;
    if (response.status !== BUSY || tries === RETRIES) throw await refused(response);
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

async function refused(response) {
  const { error } = await response.json().catch(() => ({}));
  return new Refused(`The server answered: ${error ?? response.status}.`);
}

function aboutSize() {
  return `${format(described.num_parameters)} weights, on the server.`;
}
