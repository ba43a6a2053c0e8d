// Random numbers as a pure function of (seed, stream, model, step, example, feature): minitms/draws.py, bit by bit.
//
//     key  = hash of (seed, stream, model, step)               64 random bits, of which low and high are half
//     word = hash of (low + c (high | 1), high)                32 random bits, c = 1, 2, ... over the words of a batch
//
// A key is made once a batch, with BigInt. Words are made by the million, in 32 bits: `Math.imul` multiplies such
// numbers without loss, and `>>> 0` takes the result for an unsigned one.

const GAMMA = 0x9E3779B97F4A7C15n; // 2^64 divided by the golden ratio, made odd
const BLOCK = 256; // examples after which the gaps of a rare feature begin anew
const TRAINING = 0, HELD_OUT = 1, INITIAL = 2; // separate streams for separate uses

const to64 = (z) => BigInt.asUintN(64, z);

/** SplitMix64's output function: a bijection of 64 bits in which every input bit moves every output bit. */
function mix(z) {
  z = to64((z ^ (z >> 30n)) * 0xBF58476D1CE4E5B9n);
  z = to64((z ^ (z >> 27n)) * 0x94D049BB133111EBn);
  return z ^ (z >> 31n);
}

/** The key of all steps of one model; `stepKey` makes of it that of one step. */
function modelKey(seed, stream, model) {
  return mix(to64(mix(to64(BigInt(seed) + BigInt(stream) * GAMMA)) + BigInt(model) * GAMMA));
}

function stepKey(key, step) {
  return mix(to64(key + BigInt(step) * GAMMA));
}

/** Hash (seed, stream, model, step) to 64 bits, one level a coordinate. */
function batchKey(seed, stream, model, step) {
  return stepKey(modelKey(seed, stream, model), step);
}

/** The two halves of a key. */
function halves(key) {
  return { low: Number(key & 0xFFFFFFFFn), high: Number(key >> 32n) };
}

/** The word c of a batch. */
function word(low, high, c) {
  return hash((low + Math.imul(c, high | 1)) | 0, high);
}

/** 32 bits of a counter and a key: two rounds of shift and multiply. */
function hash(z, high) {
  z = Math.imul(z ^ (z >>> 16), 0x7FEB352D);
  z ^= high;
  z = Math.imul(z ^ (z >>> 15), 0x846CA68B);
  return (z ^ (z >>> 16)) >>> 0;
}

/** A number u in [0, 1) of two words, which give 27 and 26 of its bits. */
function uniform(first, second) {
  return ((first >>> 5) * 2 ** 26 + (second >>> 6)) * 2 ** -53;
}

/** Uniform numbers u in [0, 1), example by example, column by column. */
function uniforms(key, count) {
  const { low, high } = halves(key), u = new Float64Array(count);
  for (let i = 0; i < count; i++) u[i] = uniform(word(low, high, 2 * i + 1), word(low, high, 2 * i + 2));
  return u;
}

/** Standard normal numbers from two uniforms each, by Box and Muller. */
function normals(key, count) {
  const u = uniforms(key, 2 * count);
  // 1 - u lies in (0, 1], so its logarithm is finite.
  return Float64Array.from({ length: count }, (_, i) =>
    Math.sqrt(-2 * Math.log(1 - u[2 * i])) * Math.cos(2 * Math.PI * u[2 * i + 1]));
}

/** The last of the 2^32 words for a gap longer than g = 0 .. BLOCK - 1. */
function lastWords(probability) {
  const log = Math.log1p(-probability);
  return Float64Array.from({ length: BLOCK }, (_, g) => roundToEven(2 ** 32 * Math.exp(log * (g + 1))) - 1);
}

function roundToEven(value) {
  const floor = Math.floor(value), rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2) ? floor + 1 : floor;
}

/** Call `found(example)` for every example of which a column is on, which is rare: each gap takes a word, not each bit.
 *
 * How many examples the bit stays off is known at once. A gap longer than g has the probability (1 - p)^(g + 1). After
 * BLOCK examples the gaps begin anew. `key` is that of the batch, `last` what `lastWords` gives.
 */
function onByGaps(key, batch, column, columns, last, found) {
  const { low, high } = halves(mix(to64(key + GAMMA)));
  for (let first = 0; first < batch; first += BLOCK) {
    let c = first * columns + column + 1, place = -1;
    while (place < BLOCK - 1) {
      place += 1 + gap(word(low, high, c), last);
      if (place < BLOCK && first + place < batch) found(first + place);
      c += columns;
    }
  }
}

/** How many of the `last` words, which fall, are not below this word. */
function gap(random, last) {
  let low = 0, high = BLOCK;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (random <= last[middle]) low = middle + 1;
    else high = middle;
  }
  return low;
}
