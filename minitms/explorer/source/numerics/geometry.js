// What to measure on W: the twin of minitms/geometry.py. W holds the rows of (m, n) one behind the other.

/** WᵀW, (n, n): row i, column j is W_i · W_j. */
function gram(W, n) {
  const m = W.length / n, A = new Float64Array(n * n);
  for (let k = 0; k < m; k++) {
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) A[i * n + j] += W[k * n + i] * W[k * n + j];
  }
  return A;
}

/** |W_i| of each feature. */
function featureNorms(W, n) {
  const squares = new Float64Array(n);
  W.forEach((value, p) => { squares[p % n] += value * value; });
  return squares.map(Math.sqrt);
}

/** D_i = |W_i|² / sum over j of (Ŵ_i · W_j)²: each feature's share of a hidden dimension; 0 where W_i = 0. */
function dimensionality(W, n, A = gram(W, n)) {
  return Float64Array.from({ length: n }, (_, i) => {
    let shared = 0;
    for (let j = 0; j < n; j++) shared += A[i * n + j] ** 2;
    return shared > 0 ? A[i * n + i] ** 2 / shared : 0;
  });
}

/** Sum over j ≠ i of (Ŵ_i · W_j)²; 0 where W_i = 0. */
function interference(W, n, A = gram(W, n)) {
  return Float64Array.from({ length: n }, (_, i) => {
    let shared = 0;
    for (let j = 0; j < n; j++) if (j !== i) shared += A[i * n + j] ** 2;
    return A[i * n + i] > 0 ? shared / A[i * n + i] : 0;
  });
}

const POLYGONS = { 3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon" };

/** What the features in the plane make, in words; those with |W_i| above a half count. */
function arrangement(W, n) {
  const norms = featureNorms(W, n), kept = [...norms.keys()].filter((i) => norms[i] > 0.5);
  const angles = kept.map((i) => (Math.atan2(W[n + i], W[i]) * 180) / Math.PI).sort((a, b) => a - b), k = kept.length;
  const gaps = angles.map((angle, p) => (p + 1 < k ? angles[p + 1] : angles[0] + 360) - angle);
  const off = Math.max(...gaps.map((gap) => Math.abs(gap - 360 / k)), 0);
  const near = (value, to) => Math.abs(value - to) < 6;
  const count = k === 1 ? "1 feature" : `${k} features`;
  if (k > 2 && off < 3) return `a regular ${POLYGONS[k] ?? `${k}-gon`}: ${k} features, ${(360 / k).toFixed(0)}° apart`;
  const opposite = angles.every((one) => angles.some((other) => near(Math.abs(one - other), 180)));
  if (k > 1 && k % 2 === 0 && opposite) return k === 2 ? "an antipodal pair" : `${k / 2} antipodal pairs`;
  if (k === 2 && near(Math.abs(angles[0] - angles[1]) % 180, 90)) return "2 features, orthogonal";
  return `${count} of ${n} kept, in no regular figure`;
}

/** The features that share dimensions with feature i, itself among them: linked by |W_i · W_j| above `least`. */
function companions(A, n, i, least = 0.2, norm = 0.5) {
  const kept = (j) => A[j * n + j] > norm * norm, found = [i];
  if (!kept(i)) return found;
  for (let at = 0; at < found.length; at++) {
    for (let j = 0; j < n; j++) {
      if (kept(j) && Math.abs(A[found[at] * n + j]) > least && !found.includes(j)) found.push(j);
    }
  }
  return found.sort((a, b) => a - b);
}

// By how many features share how many dimensions. Where all have the same share, it is dimensions / features.
const POLYTOPES = {
  "1 1": "single", "2 1": "digon", "3 2": "triangle", "4 3": "tetrahedron", "5 2": "pentagon", "6 3": "octahedron",
  "8 3": "square antiprism",
};

/** The polytope that these columns of W span: its name, its dimensions, and its corners in the three widest of them. */
function polytope(W, n, members) {
  const m = W.length / n, M = new Float64Array(m * m);
  for (const i of members) {
    for (let k = 0; k < m; k++) for (let l = 0; l < m; l++) M[k * m + l] += W[k * n + i] * W[l * n + i];
  }
  const { values, vectors } = eigen(M, m), order = [...values.keys()].sort((a, b) => values[b] - values[a]);
  const dimensions = order.filter((k) => values[k] > 0.05 * values[order[0]]).length;
  const corners = members.map((i) => [0, 1, 2].map((axis) => {
    let sum = 0;
    if (axis < m) for (let k = 0; k < m; k++) sum += vectors[k * m + order[axis]] * W[k * n + i];
    return sum;
  }));
  return { name: POLYTOPES[`${members.length} ${dimensions}`] ?? "other", dimensions, corners };
}

/** Eigenvalues and eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations. */
function eigen(M, m) {
  const A = Float64Array.from(M), V = new Float64Array(m * m);
  for (let k = 0; k < m; k++) V[k * m + k] = 1;
  const rotate = (X, i, j, p, q, c, s) => {
    const [one, other] = [X[i * m + p], X[j * m + q]];
    X[i * m + p] = c * one - s * other;
    X[j * m + q] = s * one + c * other;
  };
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < m; p++) {
      for (let q = p + 1; q < m; q++) {
        if (Math.abs(A[p * m + q]) < 1e-14) continue;
        const angle = 0.5 * Math.atan2(2 * A[p * m + q], A[q * m + q] - A[p * m + p]);
        const c = Math.cos(angle), s = Math.sin(angle);
        for (let k = 0; k < m; k++) rotate(A, k, k, p, q, c, s);
        for (let k = 0; k < m; k++) rotate(A, p, q, k, k, c, s);
        for (let k = 0; k < m; k++) rotate(V, k, k, p, q, c, s);
      }
    }
  }
  return { values: Float64Array.from({ length: m }, (_, k) => A[k * m + k]), vectors: V };
}
