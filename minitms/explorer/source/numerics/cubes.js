// The exact loss of features that are on independently of each other: minitms/expected.py, pattern "independent".
//
//     L = sum over sets S of features that are on, P(S) sum_i I_i J(i, S)     J = ∫ (ReLU(c · x + b_i) - x_i)² dx
//
// over the cube [0, 1]^|S|, c = the products W_i · W_j with j in S. The output's own variable comes first and is
// integrated by hand (`alongOne`), every further one by nodes on the pieces between the kinks, which is exact. Where
// the output is on, or off, in all of what is left of the cube, no more nodes are needed.

const MOST_FEATURES = 5; // of ReLU models, as in minitms: the work grows with the sets times the pieces

/** Nodes and weights of Gauss and Legendre on [0, 1]; with q nodes exact to degree 2q - 1. */
const GAUSS = {
  2: [[0.5 - Math.sqrt(1 / 12), 0.5 + Math.sqrt(1 / 12)], [0.5, 0.5]],
  3: [[0.5 - Math.sqrt(0.15), 0.5, 0.5 + Math.sqrt(0.15)], [5 / 18, 8 / 18, 5 / 18]],
  4: [[-1, 1].flatMap((a) => [-1, 1].map((b) => 0.5 + (a * Math.sqrt(3 / 7 + b * (2 / 7) * Math.sqrt(6 / 5))) / 2)),
    [-1, 1].flatMap(() => [-1, 1].map((b) => (18 - b * Math.sqrt(30)) / 72))],
};

/** One integral J over a cube, with its derivatives `dc` by the entries of c and `dd` by d, which the calls add up. */
class Cube {
  constructor(c, own) {
    Object.assign(this, { c, own, J: 0, dd: 0, dc: new Float64Array(c.length), t: new Float64Array(c.length) });
    // Sums of the first entries of c: the corners of the cubes that are left when the later variables are nodes
    this.corners = [[0]];
    for (const slope of c) {
      const before = this.corners[this.corners.length - 1];
      this.corners.push([...before, ...before.map((sum) => sum + slope)].sort((one, other) => one - other));
    }
  }

  /** Add `weight` times the integral over the first `left` variables of (ReLU(c · x + d) - target)². */
  add(left, d, weight) {
    const { c, own, corners } = this, sums = corners[left];
    if (d + sums[sums.length - 1] <= 0) { // off everywhere: the target alone is left
      if (own) this.J += weight / 3;
    } else if (d + sums[0] >= 0) this.linear(left, d, weight);
    else if (left === 1) {
      const { J, dc, dd } = alongOne(c[0], d, own ? 1 : 0, true);
      this.J += weight * J;
      this.dc[0] += weight * dc;
      this.offset(1, weight * dd);
    } else this.pieces(left - 1, d, weight);
  }

  /** On everywhere: the residual is linear in x, and its mean square is the square of the mean and the variance. */
  linear(left, d, weight) {
    const { c, own } = this, slope = (j) => (own && j === 0 ? c[0] - 1 : c[j]);
    let mean = d, variance = 0;
    for (let j = 0; j < left; j++) {
      mean += slope(j) / 2;
      variance += slope(j) ** 2 / 12;
    }
    this.J += weight * (mean * mean + variance);
    for (let j = 0; j < left; j++) this.dc[j] += weight * (mean + slope(j) / 6);
    this.offset(left, weight * 2 * mean);
  }

  /** The derivative by d = b + sum of c_j t_j over the variables that are nodes, from `left` on. */
  offset(left, dd) {
    this.dd += dd;
    for (let j = left; j < this.c.length; j++) this.dc[j] += dd * this.t[j];
  }

  /** Nodes along variable j, on each piece between the kinks where z = 0 passes a corner of the cube that is left. */
  pieces(j, d, weight) {
    const slope = this.c[j], sums = this.corners[j], last = sums.length - 1, [nodes, shares] = GAUSS[(j + 4) >> 1];
    let low = 0;
    for (let k = 0; k <= last + 1; k++) {
      const kink = slope ? -(d + sums[slope < 0 ? k : last - k]) / slope : 0; // they grow with k
      const high = k > last ? 1 : Math.min(1, Math.max(low, kink)), width = high - low;
      if (width > 0) {
        for (let q = 0; q < nodes.length; q++) {
          this.t[j] = low + width * nodes[q];
          this.add(j, d + slope * this.t[j], weight * width * shares[q]);
        }
      }
      low = high;
    }
  }
}

/** Whether `expectedIndependent` serves these models. */
function isExact({ n, activation, hidden }) {
  return hidden === "linear" && (activation === "linear" || n <= MOST_FEATURES);
}

/** Loss, its parts and its gradient of independent features. */
function expectedIndependent(model, density, importance) {
  return model.activation === "relu" ? reluIndependent(model, density, importance)
    : linearIndependent(model, density, importance);
}

function reluIndependent(model, density, importance) {
  const { n, D: W, b } = model, A = gram(W, n), G = new Float64Array(n * n);
  const out = { parts: new Float64Array(n), db: new Float64Array(n) };
  for (let set = 0; set < 2 ** n; set++) {
    const on = [...Array(n).keys()].filter((j) => (set >> j) & 1);
    const probability = density.reduce((product, s, j) => product * ((set >> j) & 1 ? s : 1 - s), 1);
    if (probability === 0) continue;
    for (let i = 0; i < n; i++) {
      // The smaller an entry of c, the fewer pieces it has: the innermost variables are those of the largest entries.
      const own = on.includes(i), rest = on.filter((j) => j !== i);
      rest.sort((p, q) => Math.abs(A[i * n + q]) - Math.abs(A[i * n + p]));
      const order = own ? [i, ...rest] : rest;
      const cube = new Cube(order.map((j) => A[i * n + j]), own), weight = probability * importance[i];
      cube.add(order.length, b[i], 1);
      out.parts[i] += weight * cube.J;
      out.db[i] += weight * cube.dd;
      order.forEach((j, p) => { G[i * n + j] += weight * cube.dc[p]; });
    }
  }
  return throughGram(model, G, out);
}

/** Without a ReLU the residual is linear in x: its mean e and the variances of x are enough. */
function linearIndependent(model, density, importance) {
  const { n, D: W, b } = model, A = gram(W, n), G = new Float64Array(n * n);
  const out = { parts: new Float64Array(n), db: new Float64Array(n) };
  const variance = density.map((s) => s / 3 - (s * s) / 4);
  for (let i = 0; i < n; i++) {
    const M = (j) => A[i * n + j] - (i === j ? 1 : 0), cost = 2 * importance[i];
    let e = b[i], spread = 0;
    for (let j = 0; j < n; j++) {
      e += (M(j) * density[j]) / 2;
      spread += M(j) ** 2 * variance[j];
    }
    out.parts[i] = importance[i] * (spread + e * e);
    out.db[i] = cost * e;
    for (let j = 0; j < n; j++) G[i * n + j] = cost * (M(j) * variance[j] + (e * density[j]) / 2);
  }
  return throughGram(model, G, out);
}
