// Write a text with the network on the server of this page, through its API.

const SPAN_SECONDS = 2; // seconds of text per request, so that many users can write at the same time
const FRAMES = 60; // updates of the next tokens' probabilities a second

const BUSY = 429; // the status if too many requests are waiting
const RETRIES = 5;

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

/** A response of server-sent events. */
class Events {
  constructor(path, body) {
    Object.assign(this, { come: [], ended: false, error: null, control: new AbortController() });
    this.receive(path, body)
      .catch((error) => (this.error = error))
      .finally(() => (this.ended = true));
  }

  async receive(path, body) {
    const response = await post(path, body, this.control.signal);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) this.come.push(JSON.parse(event.slice("data: ".length)));
    }
  }

  close() {
    this.control.abort();
  }
}

class RemoteManuscript extends Manuscript {
  constructor(described) {
    super();
    this.described = described;
    this.changed = () => {}; // called when new probabilities of the next token arrive
  }

  /** Set the prompt; `read` reads it. */
  begin(prompt, label) {
    this.clear();
    Object.assign(this, { typed: prompt, label: label || null, next: [], ids: [], decoder: new TextDecoder("utf-8", { ignoreBOM: true }) });
    this.touch();
  }

  *read() {
    const skips = ["character", "bpe"].includes(this.described.vocabulary.kind);
    const body = { text: this.typed, label: this.label, on_unknown: skips ? "skip" : "error" };
    const { ids, pieces, unknown } = yield* this.ask("api/score", body);
    const given = pieces.map(([, bits]) => bits ?? NaN);
    Object.assign(this, { promptIds: ids, ids: [...ids], prompt: pieces.map(([text]) => ({ text })), given, unknown });
    this.beginText();
    this.ready = true;
  }

  /** Wait for a response of the server. */
  *ask(path, body) {
    const control = new AbortController();
    let found = null;
    post(path, body, control.signal)
      .then((response) => response.json())
      .then((value) => (found = { value }), (error) => (found = { error }));
    try {
      while (!found) yield WAITING;
    } finally {
      control.abort();
    }
    if (found.error) throw found.error;
    return found.value;
  }

  /** The text for a request: the first `given` ids are the prompt's. Of a text that is too long only the end is sent. */
  get place() {
    const { ids, label } = this;
    const most = this.described.limits.text;
    return ids.length > most ? { ids: ids.slice(-most), label } : { ids, label, given: this.promptIds.length };
  }

  /** Return the most probable next tokens, each { token, text, probability, bits }; the previous ones until a response arrives. */
  best(temperature, count) {
    if (!this.writing && (this.known.version !== this.version || this.known.temperature !== temperature)) {
      this.requestNext(temperature, count);
    }
    return this.next;
  }

  async requestNext(temperature, count) {
    if (this.requesting) return;
    this.requesting = true;
    const { version } = this;
    try {
      const response = await post("api/next", { ...this.place, temperature, top: count });
      const { next } = await response.json();
      if (version === this.version) this.expect(next, temperature);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.known = { version, temperature }; // so that the request is not repeated
    } finally {
      this.requesting = false;
    }
    this.changed();
  }

  expect(next, temperature) {
    const text = (id, token) => (this.isByte(id) ? String.fromCharCode(id - 1) : token);
    this.next = next.map(({ id, token, probability, bits }) => ({ token: id, text: text(id, token), probability, bits }));
    this.known = { version: this.version, temperature };
  }

  /** Mark the text as changed. */
  touch() {
    this.version = (this.version ?? 0) + 1;
    this.known ??= { version: -1 };
  }

  /** Write up to `count` tokens, a few seconds of text per request. */
  *write(count, temperature, pace, shown) {
    this.writing = true;
    try {
      for (let written = 0; written < count; ) {
        const before = this.drawn;
        yield* this.span(count - written, temperature, pace(), shown);
        written += this.drawn - before;
        if (this.drawn === before) throw new Refused("The server wrote nothing.");
      }
    } finally {
      this.writing = false;
    }
  }

  /** Write until the response ends or the temperature changes. */
  *span(count, temperature, rate, shown) {
    const at = temperature();
    const length = Math.min(count, this.described.limits.length, Math.ceil(rate * SPAN_SECONDS));
    const every = rate === Infinity ? null : Math.ceil(rate / FRAMES); // tokens between two updates of the next tokens' probabilities
    const { place } = this;
    const again = place.given !== undefined; // whether to start another text after the end of one
    const events = new Events("api/complete", { ...place, again, temperature: at, length, every, top: shown, stream: true });
    try {
      for (;;) {
        while (!events.come.length) {
          if (events.error) throw events.error;
          if (events.ended) return;
          yield WAITING;
        }
        const { tokens, next, stopped } = events.come.shift();
        if (stopped) return;
        for (const [place, [id, text, bits]] of tokens.entries()) {
          if (temperature() !== at) return;
          this.put(id, text, bits);
          if (place === tokens.length - 1) this.expect(next, at);
          yield;
        }
      }
    } finally {
      events.close();
    }
  }

  /** Append one of the next tokens. */
  set(token) {
    const { text, bits } = this.next.find((one) => one.token === token);
    this.put(token, text, bits);
  }

  put(id, text, bits) {
    const ends = id === 0;
    const whole = this.isByte(id) ? this.decoder.decode(Uint8Array.of(id - 1), { stream: true }) : text;
    this.addDrawn(whole ?? this.decoder.decode(), bits, ends);
    if (ends) this.ids = [...this.promptIds];
    else this.ids.push(id);
    this.touch();
  }

  isByte(id) {
    return this.described.vocabulary.kind === "byte" && id > 0;
  }
}

const described = JSON.parse(document.getElementById("model").textContent);
const manuscript = new RemoteManuscript(described);
manuscript.changed = () => show(true);

function aboutSize() {
  return `${format(described.num_parameters)} weights, on the server.`;
}
