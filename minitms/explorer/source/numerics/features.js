// What the data is: sparse features, independent of each other. The twin of minitms/features.py.
//
//     x_i = 0 with probability 1 - density, else uniform on [0, 1), or on [-1, 1) if signed
//
// One uniform number u serves a feature: it is on iff u < density, and then u / density is uniform again. A feature
// rarer than RARE is decided by gaps, and its own u is its value.

const RARE = 1 / 64; // density below which gaps are fewer than words

/** Sparse features: `density` and `importance` are arrays of n numbers. */
class SparseFeatures {
  constructor({ n, density, importance, signed = false }) {
    Object.assign(this, { n, signed });
    this.density = Float64Array.from(density);
    this.importance = Float64Array.from(importance);
    this.rare = Array.from(this.density, (p) => (p < RARE ? lastWords(p) : null));
    this.scale = this.density.map((p) => (p < RARE ? 1 : reciprocal(p)));
    // The first of the two words of u alone says of most features that they are off: its bits are u's leading ones.
    this.limit = Int32Array.from(this.density, (p) => Math.ceil(p * 2 ** 27));
  }

  /** The examples of the batch with this key, row by row: (batch, n). */
  batch(key, batch, x = new Float64Array(batch * this.n)) {
    const { n, density, scale, limit, rare } = this, { low, high } = halves(key);
    x.fill(0);
    for (let i = 0; i < n; i++) {
      const own = (e) => uniform(word(low, high, 2 * (e * n + i) + 1), word(low, high, 2 * (e * n + i) + 2));
      if (rare[i]) {
        if (density[i] > 0) onByGaps(key, batch, i, n, rare[i], (e) => { x[e * n + i] = this.value(own(e)); });
        continue;
      }
      // Word c = 2 (e n + i) + 1 is the hash of low + c (high | 1), which from example to example grows by one number.
      const most = limit[i], odd = high | 1, stride = Math.imul(2 * n, odd);
      let state = (low + Math.imul(2 * i + 1, odd)) | 0;
      for (let at = i; at < batch * n; at += n, state = (state + stride) | 0) {
        const first = hash(state, high);
        if (first >>> 5 >= most) continue;
        const u = uniform(first, hash((state + odd) | 0, high));
        if (u < density[i]) x[at] = this.value(scale[i] * u);
      }
    }
    return x;
  }

  value(u) {
    return this.signed ? 2 * u - 1 : u;
  }
}

/** 1 / p, rounded such that u < p gives u / p < 1. */
function reciprocal(p) {
  const value = 1 / p, bits = new BigUint64Array(Float64Array.of(p).buffer)[0];
  const powerOfTwo = (bits & 0xFFFFFFFFFFFFFn) === 0n; // its reciprocal is exact
  if (value * p < 1 || powerOfTwo) return value;
  const below = new Float64Array(1);
  new BigUint64Array(below.buffer)[0] = new BigUint64Array(Float64Array.of(value).buffer)[0] - 1n;
  return below[0];
}
