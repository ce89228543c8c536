// Answer requests about texts as the server's API does: score a text, list its next tokens, continue it.
// The answers come from generators, which yield after each step of the network.

const SPACING = 64; // tokens between two remembered states
const RECENT = 64; // drawn tokens that the repetition penalty looks back on

/** An error whose message is shown in the page. */
class Refused extends Error {}

/** Reads tokens into the network. A text that begins like the previous one is read from a remembered state on. */
class Reader {
  constructor(network) {
    this.network = network;
    this.begin(BOUNDARY);
  }

  get logits() {
    return this.network.logits;
  }

  begin(startToken) {
    this.network.reset(startToken);
    Object.assign(this, { startToken, tokens: [], states: new Map() });
    this.remember();
  }

  remember() {
    this.states.set(this.tokens.length, this.network.state);
  }

  step(token) {
    this.network.step(token);
    this.tokens.push(token);
    if (this.tokens.length % SPACING === 0) this.remember();
  }

  /** Go to the end of some tokens; remember the state after `mark` of them. */
  *go(startToken, tokens, mark) {
    if (startToken !== this.startToken) this.begin(startToken);
    let place = 0;
    while (place < tokens.length && tokens[place] === this.tokens[place]) place++;
    if (place < this.tokens.length || !place) place = this.goBack(place);
    for (; place < tokens.length; place++) {
      this.step(tokens[place]);
      if (place + 1 === mark) this.remember();
      yield;
    }
  }

  /** Go back to the last remembered state up to a place, and return where it is. */
  goBack(place) {
    for (const one of this.states.keys()) if (one > place) this.states.delete(one);
    const last = Math.max(...this.states.keys());
    this.network.state = this.states.get(last);
    this.tokens.length = last;
    return last;
  }
}

class Engine {
  constructor(described, vocabulary, network) {
    Object.assign(this, { described, vocabulary, reader: new Reader(network) });
    this.silent = Array.from({ length: vocabulary.size }, (_, token) => token).filter((token) => vocabulary.isSilent(token));
    this.logits = new Float32Array(vocabulary.size);
  }

  /** Read a text as in training: before a prompt shorter than the context comes a piece of the training text. */
  *read(label, ids, given) {
    const start = label ? this.vocabulary.firstLabel + this.vocabulary.labels.indexOf(label) : BOUNDARY;
    const primer = this.primerFor(given).map((token) => (token === BOUNDARY ? start : token));
    this.begun = ids.length > 0;
    yield* this.reader.go(start, [...primer, ...ids], primer.length + given);
  }

  primerFor(length) {
    const { primer, context_length: context } = this.described;
    const room = Math.max(context - length, this.vocabulary.labels.length || !length ? 1 : 0);
    return room ? primer.slice(-room) : [];
  }

  /** Return the logits of the next token, minus infinity for impossible tokens; valid until the next call. */
  expected() {
    const { logits, silent, begun } = this;
    logits.set(this.reader.logits);
    for (const token of silent) logits[token] = -Infinity;
    if (!this.described.ends || !begun) logits[BOUNDARY] = -Infinity;
    for (let token = 0; token < logits.length; token++) {
      if (!(logits[token] < Infinity)) throw new Refused("The hidden state of the network has grown too large.");
    }
    return logits;
  }

  /** Return the bits of a token at temperature 1; NaN for one that is never drawn. */
  bits(token) {
    return this.vocabulary.isSilent(token) ? NaN : bitsOf(this.expected(), token);
  }

  /** Return the most probable next tokens. */
  best(temperature, count) {
    const probabilities = probabilitiesAt(this.expected(), temperature);
    const logits = this.expected();
    const text = (token) => (token === BOUNDARY ? null : this.vocabulary.texts[token]);
    const found = largest(probabilities, count).filter((id) => probabilities[id] > 0);
    return found.map((id) => ({ id, token: text(id), probability: probabilities[id], bits: bitsOf(logits, id) }));
  }

  /** Return the ids of a text, its pieces with their bits, and its unknown characters. A character of several bytes is one piece. */
  *score({ text, label }) {
    const { tokens, unknown, replaced } = this.vocabulary.encodeNearest(text);
    const ids = tokens.map(({ id }) => id);
    yield* this.read(label, [], 0);
    const bits = tokens.length ? [this.bits(ids[0])] : [];
    yield* this.read(label, [], ids.length);
    for (const [place, id] of ids.entries()) {
      this.begun = place > 0;
      if (place) bits.push(this.bits(id));
      this.reader.step(id);
      yield;
    }
    this.reader.remember();
    return { ids, pieces: joined(tokens, bits), unknown, replaced };
  }

  *next({ ids, given = ids.length, label, temperature, top }) {
    yield* this.read(label, ids, given);
    return { next: this.best(temperature, top) };
  }

  /** Continue a text by `length` tokens and yield each, [id, text, bits]; after the end of a text another one begins as it did. */
  *complete({ ids, given = ids.length, label, length, drawn, ...options }) {
    let text = [...ids];
    yield* this.read(label, text, given);
    for (let written = 0; written < length; written++) {
      const recent = options.repetition_penalty === 1 ? [] : text.slice(Math.max(given, text.length - RECENT));
      const [id, bits] = this.draw(recent, drawn + written, options);
      if (id === BOUNDARY) yield* this.read(label, (text = text.slice(0, given)), given);
      else {
        text.push(id);
        this.begun = true;
        this.reader.step(id);
      }
      yield [id, id === BOUNDARY ? null : this.vocabulary.texts[id], bits];
    }
    return { stopped: "length" };
  }

  /** Return a token with its bits. */
  draw(recent, place, { temperature, top_k: k, top_p: p, repetition_penalty: penalty, random_seed: seed }) {
    const logits = this.expected();
    const zero = bitsOfZero(logits);
    if (penalty !== 1) penalize(logits, recent, penalty);
    const probabilities = probabilitiesAt(logits, temperature);
    keepLargest(probabilities, k, p);
    const id = draw(probabilities, uniform(seed, place));
    return [id, zero - this.reader.logits[id] / Math.LN2];
  }
}

/** Return the pieces of tokens with their bits, null if unknown; those of several bytes are summed. */
function joined(tokens, bits) {
  const pieces = [];
  let waiting = 0;
  for (const [place, { text }] of tokens.entries()) {
    waiting += bits[place];
    if (!text) continue;
    pieces.push([text, Number.isNaN(waiting) ? null : waiting]);
    waiting = 0;
  }
  return pieces;
}

/** Return the engine of a page's model, from the description and the weights in it. module: that of WebAssembly, if it is used. */
function makeEngine(described, numbers, module) {
  const vocabulary = new Vocabulary(described.vocabulary);
  const network = makeNetwork(described, numbers, module);
  const kept = vocabulary.labels.length ? 1 : 0;
  const alone = described.carried ? network : new WindowNetwork(network, described.context_length, kept);
  const memory = described.memory && new NgramMemory(described.memory, described.vocab_size);
  return new Engine(described, vocabulary, memory ? new MixedNetwork(alone, memory) : alone);
}

function makeNetwork(described, numbers, module) {
  const weights = unpackWeights(numbers, described.precision, described.tensors);
  const arithmetic = module ? makeArithmetic(module, weights) : new PlainArithmetic();
  if (!described.members) return new Network(described, weights, arithmetic);
  const { vocab_size } = described;
  return new NetworkAverage(described.members.map((one) => new Network({ ...one, vocab_size }, startingWith(one.prefix, weights), arithmetic)));
}

/** Return the weights whose names start with a prefix, named without it. */
function startingWith(prefix, weights) {
  const found = Object.entries(weights).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(found.map(([name, weight]) => [name.slice(prefix.length), weight]));
}
