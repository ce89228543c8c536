// Compute the trained network: token ids in, logits out, one step at a time. Nothing here depends on the page.
// There is one row only. H is the hidden size, V the vocabulary's size. Weights are in Keras's own layout and gate
// order.

const BOUNDARY = 0; // the token before and after every text
const EPSILON = 1e-3;

/** Return the weights by name: { values: Float32Array, shape }, from base64 of float32 or float16 numbers, little-endian. */
function unpackWeights(numbers, precision, tensors) {
  const text = atob(numbers);
  const bytes = Uint8Array.from(text, (one) => one.charCodeAt(0));
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

/** Columns of a matrix, arranged for products: four are interleaved, so that an input is read once for four sums. */
class Product {
  constructor({ values, shape: [rows, width] }, from = 0, to = width) {
    Object.assign(this, { from, to, rows });
    this.packed = new Float32Array(Math.ceil((to - from) / 4) * 4 * rows);
    for (let row = 0; row < rows; row++) {
      for (let column = from; column < to; column++) {
        const place = column - from;
        this.packed[((place >> 2) * rows + row) * 4 + (place & 3)] = values[row * width + column];
      }
    }
  }

  /** Add the product of the inputs and these columns to the sums. */
  addTo(sums, inputs) {
    const { packed, rows, to } = this;
    let place = 0;
    for (let column = this.from; column < to; column += 4) {
      let one = 0, two = 0, three = 0, four = 0;
      for (let row = 0; row < rows; row++, place += 4) {
        const input = inputs[row];
        one += packed[place] * input;
        two += packed[place + 1] * input;
        three += packed[place + 2] * input;
        four += packed[place + 3] * input;
      }
      sums[column] += one;
      if (column + 1 < to) sums[column + 1] += two;
      if (column + 2 < to) sums[column + 2] += three;
      if (column + 3 < to) sums[column + 3] += four;
    }
  }
}

const sigmoid = (value) => 1 / (1 + Math.exp(-value));

/** A recurrent layer and its state. At the start of a step `sums` hold the inputs' contribution to every gate. */
class Cell {
  constructor(weights, layer) {
    const [kernel, recurrent, bias] = ["kernel", "recurrent_kernel", "bias"].map((name) => weights[`recurrent.${layer}.${name}`]);
    const gates = kernel.shape[1];
    this.size = recurrent.shape[0];
    this.kernel = new Product(kernel);
    this.recurrent = new Product(recurrent);
    this.bias = bias.values.subarray(0, gates);
    this.recurrentBias = bias.values.subarray(gates); // of a GRU with reset_after, else empty
    this.sums = new Float32Array(gates);
    this.hidden = new Float32Array(this.size);
    this.state = [this.hidden];
  }

  /** Write the contribution of some inputs to a row of sums. */
  project(inputs, sums) {
    sums.set(this.bias);
    this.kernel.addTo(sums, inputs);
  }
}

class SimpleRNNCell extends Cell {
  constructor(weights, layer, config) {
    super(weights, layer);
    this.activate = config.activation === "relu" ? (value) => Math.max(value, 0) : Math.tanh;
  }

  step() {
    const { sums, hidden, activate } = this;
    this.recurrent.addTo(sums, hidden);
    for (let unit = 0; unit < this.size; unit++) hidden[unit] = activate(sums[unit]);
  }
}

/** Gate order: input, forget, cell, output. */
class LSTMCell extends Cell {
  constructor(weights, layer) {
    super(weights, layer);
    this.cell = new Float32Array(this.size);
    this.state = [this.hidden, this.cell];
  }

  step() {
    const { sums, hidden, cell, size } = this;
    this.recurrent.addTo(sums, hidden);
    for (let unit = 0; unit < size; unit++) {
      const written = sigmoid(sums[unit]) * Math.tanh(sums[2 * size + unit]);
      cell[unit] = sigmoid(sums[size + unit]) * cell[unit] + written;
      hidden[unit] = sigmoid(sums[3 * size + unit]) * Math.tanh(cell[unit]);
    }
  }
}

/** Gate order: update, reset, candidate. The reset gate is applied after the recurrent product, which has its own bias. */
class GRUCell extends Cell {
  constructor(weights, layer) {
    super(weights, layer);
    this.product = new Float32Array(this.sums.length);
  }

  step() {
    const { sums, hidden, product, size } = this;
    product.set(this.recurrentBias);
    this.recurrent.addTo(product, hidden);
    for (let unit = 0; unit < size; unit++) {
      const update = sigmoid(sums[unit] + product[unit]);
      const reset = sigmoid(sums[size + unit] + product[size + unit]);
      const candidate = Math.tanh(sums[2 * size + unit] + reset * product[2 * size + unit]);
      hidden[unit] = candidate + update * (hidden[unit] - candidate);
    }
  }
}

/** The reset gate is applied before the recurrent product. */
class GRUResetBeforeCell extends Cell {
  constructor(weights, layer) {
    super(weights, layer);
    const recurrent = weights[`recurrent.${layer}.recurrent_kernel`];
    this.recurrent = new Product(recurrent, 0, 2 * this.size);
    this.candidate = new Product(recurrent, 2 * this.size);
    this.kept = new Float32Array(this.size);
  }

  step() {
    const { sums, hidden, kept, size } = this;
    this.recurrent.addTo(sums, hidden);
    for (let unit = 0; unit < size; unit++) kept[unit] = sigmoid(sums[size + unit]) * hidden[unit];
    this.candidate.addTo(sums, kept);
    for (let unit = 0; unit < size; unit++) {
      const candidate = Math.tanh(sums[2 * size + unit]);
      hidden[unit] = candidate + sigmoid(sums[unit]) * (hidden[unit] - candidate);
    }
  }
}

/** The stack of layers between a token id and the logits of the next token, with its current state. */
class Network {
  constructor({ network: config, vocab_size: vocabSize, folded }, weights) {
    this.config = config;
    this.weights = weights;
    const gru = config.reset_after ? GRUCell : GRUResetBeforeCell;
    const Kind = { lstm: LSTMCell, gru, simplernn: SimpleRNNCell, dense: SimpleRNNCell }[config.cell];
    this.cells = Array.from({ length: config.num_layers }, (_, layer) => new Kind(weights, layer, config));
    this.embedding = config.embedding_size ? this.normalizedEmbedding() : null;
    this.table = folded ? this.foldedTable(vocabSize) : null;
    this.heads = (config.dense_size ? ["dense", "output"] : ["output"]).map((name) => ({
      kernel: new Product(weights[`${name}.kernel`]),
      bias: weights[`${name}.bias`].values,
      sums: new Float32Array(weights[`${name}.bias`].values.length),
    }));
    this.scaled = new Float32Array(config.hidden_size);
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
