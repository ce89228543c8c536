// Write a text with the network in this page.

class LocalManuscript extends Manuscript {
  constructor(described, vocabulary, network) {
    super();
    Object.assign(this, { described, vocabulary, network });
    this.silent = Array.from({ length: vocabulary.size }, (_, token) => vocabulary.isSilent(token));
    this.logits = new Float32Array(vocabulary.size);
  }

  /** Set the prompt; `read` reads it. */
  begin(prompt, label) {
    this.clear();
    const read = Array.from(prompt, (one) => (this.vocabulary.ids.has(one) ? one : this.replace(one))).join("");
    const { tokens, unknown } = this.vocabulary.encode(read);
    Object.assign(this, { prompt: tokens, unknown, decode: this.vocabulary.decoder() });
    this.startToken = label ? this.vocabulary.firstLabel + this.vocabulary.labels.indexOf(label) : BOUNDARY;
    this.primer = this.described.primer.map((token) => (token === BOUNDARY ? this.startToken : token));
  }

  /** Return the nearest known characters to an unknown one, or itself if there are none. */
  replace(character) {
    const nearest = this.vocabulary.nearest(character);
    if (nearest !== null) this.replaced.set(character, nearest);
    return nearest ?? character;
  }

  /** Read the prompt as in training: before a prompt shorter than the context comes a piece of the training text. */
  *read() {
    this.network.reset(this.startToken);
    if (this.prompt.length) {
      yield* this.feed(this.primerFor(0));
      this.given = [this.surprise(this.prompt[0].id, false)];
      this.network.reset(this.startToken);
    }
    yield* this.feed(this.primerFor(this.prompt.length));
    for (const [place, { id }] of this.prompt.entries()) {
      if (place) this.given.push(this.surprise(id, true));
      this.network.step(id);
      yield;
    }
    this.start = this.network.state;
    this.expected(this.prompt.length > 0); // if the probabilities are undefined, fail here rather than while writing
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

  /** Return the logits of the next token, minus infinity for impossible tokens; valid until the next call. */
  expected(begun) {
    const { logits, silent } = this;
    logits.set(this.network.logits);
    for (let token = 0; token < logits.length; token++) if (silent[token]) logits[token] = -Infinity;
    if (!this.described.ends || !begun) logits[BOUNDARY] = -Infinity;
    if (logits.some((value) => !(value < Infinity))) throw new Refused("The hidden state of the network has grown too large.");
    return logits;
  }

  /** Return the bits of a token at temperature 1; NaN for a token that is never drawn. */
  surprise(token, begun) {
    return this.silent[token] ? NaN : -Math.log2(softmax(this.expected(begun))[token]);
  }

  probabilities(temperature) {
    const logits = this.expected(this.begun);
    if (temperature > 0) return softmax(logits, temperature);
    const best = argmax(logits);
    return Float64Array.from(logits, (_, token) => Number(token === best));
  }

  /** Return at most `count` next tokens, each { token, text, probability }, the most probable first. */
  best(temperature, count) {
    const probabilities = this.probabilities(temperature);
    const order = Array.from(probabilities.keys()).sort((one, other) => probabilities[other] - probabilities[one] || one - other);
    const text = (token) => (token === BOUNDARY ? null : this.vocabulary.texts[token]);
    const found = order.slice(0, count).map((token) => ({ token, text: text(token), probability: probabilities[token] }));
    return found.filter(({ probability }) => probability > 0);
  }

  /** Write up to `count` tokens. */
  *write(count, temperature) {
    for (let written = 0; written < count; written++) {
      this.set(draw(this.probabilities(temperature()), Math.random()));
      yield;
    }
  }

  /** Append a token. */
  set(token) {
    const ends = token === BOUNDARY;
    this.addDrawn(this.decode(token), this.surprise(token, this.begun), ends);
    if (ends) this.network.state = this.start;
    else this.network.step(token);
  }
}

const described = JSON.parse(document.getElementById("model").textContent);
const vocabulary = new Vocabulary(described.vocabulary);
const network = new Network(
  described,
  unpackWeights(document.getElementById("weights").textContent, described.precision, described.tensors),
);
const kept = vocabulary.labels.length ? 1 : 0;
const reader = described.carried ? network : new WindowNetwork(network, described.context_length, kept);
const manuscript = new LocalManuscript(described, vocabulary, reader);

function aboutSize() {
  const number = described.tensors.reduce((sum, [, shape]) => sum + shape.reduce((product, one) => product * one, 1), 0);
  const half = described.precision === "float16" ? " of half precision" : "";
  return `${format(number)} weights${half}, ${format(described.bytes / 1000)} kB for the whole page.`;
}
