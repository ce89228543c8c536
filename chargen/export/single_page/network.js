// Compute the trained network: token ids in, logits out, one step at a time. Nothing here depends on the page.
// There is one row only. H is the hidden size, V the vocabulary's size. Weights are in Keras's own layout and gate
// order.

const BOUNDARY = 0; // the token before and after every text
const EPSILON = 1e-3;

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
}

/** Return the weights by name: { values: Float32Array, shape }, from base64 of float32 or float16 numbers, little-endian. */
function unpackWeights(numbers, precision, tensors) {
  const bytes = bytesOf(numbers);
  const flat = precision === "float16" ? wholeFromHalf(new DataView(bytes.buffer)) : new Float32Array(bytes.buffer);
  const weights = {};
  let place = 0;
  for (const [name, shape] of tensors) {
    const size = shape.reduce((product, one) => product * one, 1);
    weights[name] = { values: flat.subarray(place, place + size), shape };
    place += size;
  }
  return weights;
}

/** Convert float16 numbers, all finite, to float32. */
function wholeFromHalf(view) {
  const whole = new Float32Array(view.byteLength / 2);
  for (let place = 0; place < whole.length; place++) {
    const bits = view.getUint16(2 * place, true);
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    whole[place] = bits & 0x8000 ? -size : size;
  }
  return whole;
}

/** A recurrent layer and its state. At the start of a step `sums` hold the inputs' contribution to every gate. */
class Cell {
  /** How many gates, the first ones, are in the product `recurrent`; subclasses have the others in a product of their own. */
  static gatesTogether = Infinity;

  constructor(arithmetic, weights, layer) {
    this.arithmetic = arithmetic;
    const [kernel, recurrent, bias] = ["kernel", "recurrent_kernel", "bias"].map((name) => weights[`recurrent.${layer}.${name}`]);
    const gates = kernel.shape[1];
    this.size = recurrent.shape[0];
    this.kernel = arithmetic.product(kernel);
    this.recurrent = arithmetic.product(recurrent, 0, Math.min(gates, this.constructor.gatesTogether * this.size));
    this.bias = bias.values.subarray(0, gates);
    this.recurrentBias = bias.values.subarray(gates); // of a GRU with reset_after, else empty
    this.sums = arithmetic.vector(gates);
    this.hidden = arithmetic.vector(this.size);
    this.state = [this.hidden];
  }

  /** Write the contribution of some inputs to a row of sums. */
  project(inputs, sums) {
    sums.set(this.bias);
    this.kernel.addTo(sums, inputs);
  }
}

class SimpleRNNCell extends Cell {
  constructor(arithmetic, weights, layer, config) {
    super(arithmetic, weights, layer);
    this.isRelu = config.activation === "relu";
  }

  step() {
    const { arithmetic, sums, hidden } = this;
    this.recurrent.addTo(sums, hidden);
    hidden.set(sums);
    if (!this.isRelu) arithmetic.tanh(hidden);
    else for (let unit = 0; unit < this.size; unit++) hidden[unit] = Math.max(hidden[unit], 0);
  }
}

/** Gate order: input, forget, cell, output. */
class LSTMCell extends Cell {
  constructor(arithmetic, weights, layer) {
    super(arithmetic, weights, layer);
    this.cell = arithmetic.vector(this.size);
    this.state = [this.hidden, this.cell];
  }

  step() {
    this.recurrent.addTo(this.sums, this.hidden);
    this.finish();
  }

  finish() {
    const { arithmetic, sums, hidden, cell, size } = this;
    arithmetic.sigmoid(sums, 0, 2 * size);
    arithmetic.tanh(sums, 2 * size, 3 * size);
    arithmetic.sigmoid(sums, 3 * size, 4 * size);
    for (let unit = 0; unit < size; unit++) cell[unit] = sums[size + unit] * cell[unit] + sums[unit] * sums[2 * size + unit];
    hidden.set(cell);
    arithmetic.tanh(hidden);
    for (let unit = 0; unit < size; unit++) hidden[unit] *= sums[3 * size + unit];
  }
}

/** In place of the hidden state the gates read its product times a factor, whose sums come after those of the gates. */
class MultiplicativeLSTMCell extends LSTMCell {
  static gatesTogether = 4;

  constructor(arithmetic, weights, layer) {
    super(arithmetic, weights, layer);
    this.factor = arithmetic.product(weights[`recurrent.${layer}.recurrent_kernel`], 4 * this.size);
    this.products = arithmetic.vector(this.sums.length); // only the last ones are used
    this.multiplied = arithmetic.vector(this.size);
  }

  step() {
    const { sums, products, multiplied, size } = this;
    products.fill(0);
    this.factor.addTo(products, this.hidden);
    for (let unit = 0; unit < size; unit++) multiplied[unit] = sums[4 * size + unit] * products[4 * size + unit];
    this.recurrent.addTo(sums, multiplied);
    this.finish();
  }
}

/** Gate order: update, reset, candidate. The reset gate is applied after the recurrent product, which has its own bias. */
class GRUCell extends Cell {
  constructor(arithmetic, weights, layer) {
    super(arithmetic, weights, layer);
    this.product = arithmetic.vector(this.sums.length);
  }

  step() {
    const { arithmetic, sums, hidden, product, size } = this;
    product.set(this.recurrentBias);
    this.recurrent.addTo(product, hidden);
    for (let gate = 0; gate < 2 * size; gate++) sums[gate] += product[gate];
    arithmetic.sigmoid(sums, 0, 2 * size);
    for (let unit = 2 * size; unit < 3 * size; unit++) sums[unit] += sums[unit - size] * product[unit];
    arithmetic.tanh(sums, 2 * size);
    this.update();
  }

  update() {
    const { sums, hidden, size } = this;
    for (let unit = 0; unit < size; unit++) {
      const candidate = sums[2 * size + unit];
      hidden[unit] = candidate + sums[unit] * (hidden[unit] - candidate);
    }
  }
}

/** The reset gate is applied before the recurrent product. */
class GRUResetBeforeCell extends GRUCell {
  static gatesTogether = 2;

  constructor(arithmetic, weights, layer) {
    super(arithmetic, weights, layer);
    this.candidate = arithmetic.product(weights[`recurrent.${layer}.recurrent_kernel`], 2 * this.size);
    this.kept = arithmetic.vector(this.size);
  }

  step() {
    const { arithmetic, sums, hidden, kept, size } = this;
    this.recurrent.addTo(sums, hidden);
    arithmetic.sigmoid(sums, 0, 2 * size);
    for (let unit = 0; unit < size; unit++) kept[unit] = sums[size + unit] * hidden[unit];
    this.candidate.addTo(sums, kept);
    arithmetic.tanh(sums, 2 * size);
    this.update();
  }
}

/** The stack of layers between a token id and the logits of the next token, with its current state. */
class Network {
  constructor({ network: config, vocab_size: vocabSize, folded }, weights, arithmetic) {
    this.config = config;
    this.weights = weights;
    const gru = config.reset_after ? GRUCell : GRUResetBeforeCell;
    const Kind = { lstm: LSTMCell, mlstm: MultiplicativeLSTMCell, gru, simplernn: SimpleRNNCell, dense: SimpleRNNCell }[config.cell];
    this.cells = Array.from({ length: config.num_layers }, (_, layer) => new Kind(arithmetic, weights, layer, config));
    this.embedding = config.embedding_size ? this.normalizedEmbedding() : null;
    this.table = folded ? this.foldedTable(vocabSize) : null;
    this.heads = (config.dense_size ? ["dense", "output"] : ["output"]).map((name) => ({
      kernel: arithmetic.product(weights[`${name}.kernel`]),
      bias: weights[`${name}.bias`].values,
      sums: arithmetic.vector(weights[`${name}.bias`].values.length),
    }));
    this.scaled = arithmetic.vector(config.hidden_size);
    this.logits = this.heads.at(-1).sums; // of the last step
  }

  normalizedEmbedding() {
    const { values, shape } = this.weights.embedding;
    if (this.config.embedding_norm === "none") return values;
    const names = ["gamma", "beta", "moving_mean", "moving_variance"];
    const [gamma, beta, mean, variance] = names.map((name) => this.weights[`embedding_norm.${name}`].values);
    return values.map((value, place) => {
      const column = place % shape[1];
      return ((value - mean[column]) / Math.sqrt(variance[column] + EPSILON)) * gamma[column] + beta[column];
    });
  }

  /** Return the first layer's projection of every token, (V, gates * H): a step then looks up a row instead of multiplying. */
  foldedTable(vocabSize) {
    const [first] = this.cells;
    const gates = first.sums.length;
    const table = new Float32Array(vocabSize * gates);
    for (let token = 0; token < vocabSize; token++) this.projectToken(token, table.subarray(token * gates, (token + 1) * gates));
    return table;
  }

  projectToken(token, sums) {
    const [first] = this.cells;
    if (this.embedding) return first.project(this.row(this.embedding, token, this.config.embedding_size), sums);
    const kernel = this.weights["recurrent.0.kernel"].values;
    sums.set(this.row(kernel, token, sums.length));
    first.bias.forEach((value, gate) => (sums[gate] += value));
  }

  row(matrix, number, size) {
    return matrix.subarray(number * size, (number + 1) * size);
  }

  /** Read a token and return the logits of the next, (V,), valid until the next step. */
  step(token) {
    this.advance(token);
    return this.predict();
  }

  /** Read a token without predicting the next. */
  advance(token) {
    this.cells.forEach((cell, layer) => {
      if (layer) cell.project(this.normalized(this.cells[layer - 1].hidden, layer - 1), cell.sums);
      else if (this.table) cell.sums.set(this.row(this.table, token, cell.sums.length));
      else this.projectToken(token, cell.sums);
      cell.step();
    });
  }

  /** Return the logits of the next token, (V,), valid until the next step. */
  predict() {
    let values = this.cells.at(-1).hidden;
    this.heads.forEach(({ kernel, bias, sums }, place) => {
      sums.set(bias);
      kernel.addTo(sums, values);
      if (place < this.heads.length - 1) sums.forEach((value, unit) => (sums[unit] = Math.max(value, 0)));
      values = sums;
    });
    return this.logits;
  }

  /** Return the input of the next layer from a layer's output. */
  normalized(values, layer) {
    if (!this.config.layer_norm) return values;
    const { [`norm.${layer}.gamma`]: gamma, [`norm.${layer}.beta`]: beta } = this.weights;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    const deviation = Math.sqrt(variance + EPSILON);
    values.forEach((value, unit) => {
      this.scaled[unit] = ((value - mean) / deviation) * gamma.values[unit] + beta.values[unit];
    });
    return this.scaled;
  }

  /** A copy of the state and the logits. */
  get state() {
    return { layers: this.cells.map((cell) => cell.state.map((values) => values.slice())), logits: this.logits.slice() };
  }

  set state({ layers, logits }) {
    this.cells.forEach((cell, layer) => cell.state.forEach((values, place) => values.set(layers[layer][place])));
    this.logits.set(logits);
  }

  /** Reset to the zero state. */
  reset() {
    for (const cell of this.cells) cell.state.forEach((values) => values.fill(0));
  }
}

/** Several networks that read the same tokens; their probabilities are averaged. */
class NetworkAverage {
  constructor(members) {
    this.members = members;
    this.logits = new Float32Array(members[0].logits.length); // the logarithms of the averaged probabilities
  }

  step(token) {
    this.advance(token);
    return this.predict();
  }

  advance(token) {
    for (const one of this.members) one.advance(token);
  }

  predict() {
    this.logits.fill(0);
    for (const one of this.members) {
      const logits = one.predict();
      const highest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
      const powers = Float64Array.from(logits, (value) => Math.exp(value - highest));
      const sum = powers.reduce((total, value) => total + value, 0);
      powers.forEach((value, token) => (this.logits[token] += value / sum / this.members.length));
    }
    this.logits.forEach((value, token) => (this.logits[token] = Math.log(value)));
    return this.logits;
  }

  /** A copy of the states and the logits. */
  get state() {
    return { members: this.members.map((one) => one.state), logits: this.logits.slice() };
  }

  set state({ members, logits }) {
    this.members.forEach((one, place) => (one.state = members[place]));
    this.logits.set(logits);
  }

  reset() {
    for (const one of this.members) one.reset();
  }
}

/**
 * A network whose state is not carried: for each new token it reads the window of the last ones from a zero state. In a model
 * of labels the first token of the window is always the label.
 */
class WindowNetwork {
  constructor(network, length, kept) {
    Object.assign(this, { network, length, kept });
    this.reset(BOUNDARY);
  }

  step(token) {
    if (this.kept < this.length) {
      this.window.splice(this.kept, 1);
      this.window.push(token);
    }
    this.read = false;
  }

  get logits() {
    if (!this.read) {
      this.network.reset();
      for (const token of this.window) this.network.advance(token);
      this.network.predict();
      this.read = true;
    }
    return this.network.logits;
  }

  /** A copy of the window. */
  get state() {
    return this.window.slice();
  }

  set state(window) {
    this.window = window.slice();
    this.read = false;
  }

  /** Reset the window, filled with the start token. */
  reset(startToken) {
    this.state = new Array(this.length).fill(startToken);
  }
}
