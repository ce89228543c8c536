// Compute products of vectors and matrices, and activations: with WebAssembly's vectors of four numbers, or without.

const BLOCK = 16; // columns that are summed together
const PAGE = 65536; // bytes of WebAssembly's memory

const logistic = (value) => 1 / (1 + Math.exp(-value));

/** Columns of a matrix, arranged for products: those of a block are interleaved, so that an input is read once for all of them. */
function packedColumns({ values, shape: [rows, width] }, from, to, packed, block) {
  for (let row = 0; row < rows; row++) {
    for (let column = from; column < to; column++) {
      const place = column - from;
      packed[(Math.floor(place / block) * rows + row) * block + (place % block)] = values[row * width + column];
    }
  }
  return packed;
}

/** The columns of a matrix between two numbers; `addTo` adds the product of some inputs and these columns to sums. */
class PlainProduct {
  constructor(weight, from, to) {
    const [rows] = weight.shape;
    Object.assign(this, { from, to, rows });
    this.packed = packedColumns(weight, from, to, new Float32Array(Math.ceil((to - from) / 4) * 4 * rows), 4);
  }

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

/** Computes in plain JavaScript. */
class PlainArithmetic {
  vector(length) {
    return new Float32Array(length);
  }

  product(weight, from = 0, to = weight.shape[1]) {
    return new PlainProduct(weight, from, to);
  }

  /** Apply the logistic function in place to the values between two numbers. */
  sigmoid(values, from = 0, to = values.length) {
    for (let place = from; place < to; place++) values[place] = logistic(values[place]);
  }

  tanh(values, from = 0, to = values.length) {
    for (let place = from; place < to; place++) values[place] = Math.tanh(values[place]);
  }
}

class SimdProduct {
  constructor(arithmetic, weight, from, to) {
    const [rows] = weight.shape;
    Object.assign(this, { arithmetic, from, rows, blocks: Math.ceil((to - from) / BLOCK) });
    this.packed = packedColumns(weight, from, to, arithmetic.vector(this.blocks * BLOCK * rows), BLOCK);
  }

  /** Columns that fill the last block add 0 to what follows the sums. */
  addTo(sums, inputs) {
    const { arithmetic, from, rows, blocks, packed } = this;
    const here = arithmetic.holds(sums) ? sums : arithmetic.copied(sums, arithmetic.sums);
    const read = arithmetic.holds(inputs) ? inputs : arithmetic.copied(inputs, arithmetic.inputs);
    arithmetic.functions.product(packed.byteOffset, rows, blocks, read.byteOffset, here.byteOffset + 4 * from);
    if (here !== sums) sums.set(here.subarray(0, sums.length));
  }
}

/** Computes with the module of WebAssembly in the page. Vectors are in its memory; others are copied there. */
class SimdArithmetic extends PlainArithmetic {
  /** module: its bytes. floats: the numbers of all matrices and vectors to come, at least. longest: the largest vector's length. */
  constructor(module, floats, longest) {
    super();
    this.memory = new WebAssembly.Memory({ initial: Math.ceil((4 * (floats + 4 * longest)) / PAGE) + 1 });
    this.functions = new WebAssembly.Instance(new WebAssembly.Module(module), { page: { memory: this.memory } }).exports;
    this.used = 0;
    this.sums = this.vector(longest);
    this.inputs = this.vector(longest);
  }

  vector(length) {
    const start = this.used;
    this.used += 4 * (Math.ceil(length / BLOCK) + 1) * BLOCK;
    return new Float32Array(this.memory.buffer, start, length);
  }

  product(weight, from = 0, to = weight.shape[1]) {
    return new SimdProduct(this, weight, from, to);
  }

  holds(values) {
    return values.buffer === this.memory.buffer;
  }

  copied(values, place) {
    place.set(values);
    return place;
  }

  sigmoid(values, from = 0, to = values.length) {
    const whole = this.squash(values, from, to, 1);
    super.sigmoid(values, whole, to);
  }

  tanh(values, from = 0, to = values.length) {
    const whole = this.squash(values, from, to, 2);
    super.tanh(values, whole, to);
  }

  /** Activate a multiple of four values, and return where the others begin. */
  squash(values, from, to, steepness) {
    const count = (to - from) & ~3;
    if (count) this.functions.squash(values.byteOffset + 4 * from, count, steepness);
    return from + count;
  }
}

/** Return the fastest arithmetic of this browser for some weights. */
function makeArithmetic(module, weights) {
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(module)) return new PlainArithmetic();
  const matrices = Object.values(weights).filter(({ shape }) => shape.length === 2);
  const padded = matrices.map(({ shape: [rows, width] }) => (Math.ceil(width / BLOCK) + 1) * BLOCK * (rows + 16));
  const longest = Math.max(...Object.values(weights).flatMap(({ shape }) => shape));
  return new SimdArithmetic(module, padded.reduce((sum, one) => sum + one, 0), longest);
}
