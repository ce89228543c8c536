// Mix the predictions of a network with those of the n-grams of its training text. The n-grams are a tree: nodes are
// numbered level by level, siblings in the order of their tokens; 0 is the root. Where the lines of the text are known, a factor
// makes it less probable that a line ends as one of them. They are known by 31 bits of a hash; the lowest bit of each key says
// whether the line occurs more than once.

const FNV_BASIS = 2166136261;
const FNV_PRIME = 16777619;

const NUMBERS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };

class NgramMemory {
  constructor({ weight, size, order, first_label: firstLabel, tokens, children, lines = 0, log_factors: logFactors, grams }, vocabSize) {
    Object.assign(this, { weight, order, firstLabel, logFactors, nowhere: size });
    this.start = new Int32Array(order + 1).fill(size); // the nodes of the last 0, 1, ... tokens, before the first one
    this.start[0] = this.start[order] = 0; // the last number is the hash of the line so far, 0 before it begins
    this.found = new Float64Array(vocabSize);
    const bytes = bytesOf(grams);
    let end = 0;
    const [last, following, kept] = [NUMBERS[tokens], NUMBERS[children], Uint16Array].map(
      (Kind) => new Kind(bytes.slice(end, (end += size * Kind.BYTES_PER_ELEMENT)).buffer),
    );
    this.lines = new Uint32Array(bytes.slice(end, end + 4 * lines).buffer);
    this.tokens = last; // of each node
    this.kept = wholeFromHalf(new DataView(kept.buffer)); // its own probability
    this.firsts = new Int32Array(size + 2).fill(size); // its first child
    this.firsts[0] = 1;
    following.forEach((number, node) => (this.firsts[node + 1] = this.firsts[node] + number));
    this.rest = new Float32Array(size + 1).fill(1); // what its children leave over
    for (let node = 0; node < size; node++) {
      let sum = 0;
      for (let child = this.firsts[node]; child < this.firsts[node + 1]; child++) sum += this.kept[child];
      this.rest[node] = Math.min(Math.max(1 - sum, 0), 1);
    }
  }

  /** Return the contexts after one more token. */
  after(contexts, token) {
    const found = this.start.slice();
    const begins = token === BOUNDARY || token >= this.firstLabel; // a document
    const longest = begins ? 1 : this.order - 1;
    for (let length = 1; length <= longest && length < this.order; length++) found[length] = this.child(contexts[length - 1], token);
    const line = begins ? FNV_BASIS : contexts[this.order];
    found[this.order] = line ? Math.imul(line ^ token, FNV_PRIME) : 0;
    return found;
  }

  /** Return what is added to the logit of the end after contexts. */
  logFactor(contexts) {
    const { lines } = this;
    const line = contexts[this.order] >>> 1;
    let low = 0;
    for (let high = lines.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (lines[middle] >>> 1 < line) low = middle + 1;
      else high = middle;
    }
    return low < lines.length && lines[low] >>> 1 === line ? this.logFactors[lines[low] & 1] : 0;
  }

  child(node, token) {
    const end = this.firsts[node + 1];
    let low = this.firsts[node];
    for (let high = end; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.tokens[middle] < token) low = middle + 1;
      else high = middle;
    }
    return low < end && this.tokens[low] === token ? low : this.nowhere;
  }

  /** Return the probabilities of the next token, (V,), valid until the next call. */
  probabilities(contexts) {
    const { found, firsts, rest, tokens, kept } = this;
    let left = 1; // what the longer contexts leave over
    found.fill(0);
    for (let length = this.order - 1; length >= 0; length--) {
      const node = contexts[length];
      for (let child = firsts[node]; child < firsts[node + 1]; child++) found[tokens[child]] += left * kept[child];
      left *= rest[node];
    }
    for (let token = 0; token < found.length; token++) found[token] += left / found.length;
    return found;
  }
}

/** A network with a memory; its logits are those of the mixture, in which square roots of probabilities are averaged. */
class MixedNetwork {
  constructor(network, memory) {
    Object.assign(this, { network, memory, contexts: memory.start, mixture: new Float32Array(memory.found.length) });
  }

  step(token) {
    this.network.step(token);
    this.contexts = this.memory.after(this.contexts, token);
    this.mixed = false;
  }

  get logits() {
    if (!this.mixed) {
      const { weight } = this.memory;
      const network = softmax(this.network.logits);
      const found = this.memory.probabilities(this.contexts);
      for (let token = 0; token < found.length; token++) {
        this.mixture[token] = 2 * Math.log((1 - weight) * Math.sqrt(network[token]) + weight * Math.sqrt(found[token]));
      }
      this.mixture[BOUNDARY] += this.memory.logFactor(this.contexts);
      this.mixed = true;
    }
    return this.mixture;
  }

  get state() {
    return { network: this.network.state, contexts: this.contexts };
  }

  set state({ network, contexts }) {
    this.network.state = network;
    Object.assign(this, { contexts, mixed: false });
  }

  reset(startToken) {
    this.network.reset(startToken);
    Object.assign(this, { contexts: this.memory.start, mixed: false });
  }
}
