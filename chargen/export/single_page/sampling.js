// Draw a token from logits: penalty, then temperature, top-k, top-p and the draw, in this order.

const COLDEST = 1e-200; // a lower temperature takes the most probable token

/** Return the probabilities at a temperature above 0, (V,), in float64. */
function softmax(logits, temperature = 1) {
  const largest = logits[argmax(logits)];
  const weights = new Float64Array(logits.length);
  let sum = 0;
  for (let token = 0; token < logits.length; token++) sum += weights[token] = Math.exp((logits[token] - largest) / temperature);
  for (let token = 0; token < weights.length; token++) weights[token] /= sum;
  return weights;
}

/** Return the bits that a logit of 0 has at temperature 1. */
function bitsOfZero(logits) {
  const largest = logits[argmax(logits)];
  let sum = 0;
  for (let token = 0; token < logits.length; token++) sum += Math.exp(logits[token] - largest);
  return Math.log2(sum) + largest / Math.LN2;
}

/** Return the bits of a token at temperature 1. */
function bitsOf(logits, token) {
  return bitsOfZero(logits) - logits[token] / Math.LN2;
}

/** Return the probabilities at a temperature, (V,); at 0 the most probable token has all. */
function probabilitiesAt(logits, temperature) {
  if (temperature >= COLDEST) return softmax(logits, temperature);
  const best = argmax(logits);
  return Float64Array.from(logits, (_, token) => Number(token === best));
}

/** Return the index of the first largest number. */
function argmax(values) {
  let best = 0;
  for (let place = 1; place < values.length; place++) if (values[place] > values[best]) best = place;
  return best;
}

/** Return the indices of the largest numbers, at most `count`, the largest first; of equal ones the lower index first. */
function largest(values, count) {
  if (count > 100) return Array.from(values.keys()).sort((one, other) => values[other] - values[one] || one - other).slice(0, count);
  const found = [];
  for (let token = 0; token < values.length; token++) {
    if (found.length === count && values[token] <= values[found[count - 1]]) continue;
    let place = found.length < count ? found.length : count - 1;
    for (; place && values[found[place - 1]] < values[token]; place--) found[place] = found[place - 1];
    found[place] = token;
  }
  return found;
}

/** Make tokens less probable in place, except the boundary: as in CTRL, a positive logit is divided, a negative one multiplied. */
function penalize(logits, tokens, penalty) {
  for (const token of new Set(tokens)) {
    if (token !== BOUNDARY) logits[token] = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;
  }
}

/** Set the probabilities to 0 in place, except for the k largest, and of these the fewest whose sum reaches p. */
function keepLargest(probabilities, k, p) {
  if (!k && p === 1) return;
  const order = largest(probabilities, k || probabilities.length);
  const all = order.reduce((sum, token) => sum + probabilities[token], 0);
  const kept = new Map();
  let before = 0;
  for (const token of order) {
    if (kept.size && before >= p * all) break;
    kept.set(token, probabilities[token]);
    before += probabilities[token];
  }
  probabilities.fill(0);
  for (const [token, value] of kept) probabilities[token] = value;
}

/** Draw a token with chances in proportion to weights; point is uniform in [0, 1). */
function draw(weights, point) {
  let sum = 0;
  for (let token = 0; token < weights.length; token++) sum += weights[token];
  let left = point * sum;
  let last = 0;
  for (let token = 0; token < weights.length; token++) {
    if (weights[token] === 0) continue;
    last = token;
    left -= weights[token];
    if (left < 0) return token;
  }
  return last; // the sum fell short by rounding
}

/** Return 32 bits that depend on all bits of an integer (the finalizer of MurmurHash3, Austin Appleby). */
function mixed(value) {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

/** Return the random number of a seed and a place, in [0, 1): the same whatever was drawn before. */
function uniform(seed, place) {
  const high = mixed(mixed(seed) + Math.imul(place + 1, 0x9e3779b9));
  const low = mixed(high ^ mixed(seed ^ 0x5bd1e995) ^ place);
  return ((high >>> 0) * 2 ** 21 + (low >>> 11)) / 2 ** 53;
}
