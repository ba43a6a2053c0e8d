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

/** What the features in two or three dimensions make, in words; those with |W_i| above a half count. */
function arrangement(W, n) {
  return W.length === 2 * n ? planarArrangement(W, n) : spatialArrangement(W, n);
}

function planarArrangement(W, n) {
  const norms = featureNorms(W, n), kept = [...norms.keys()].filter((i) => norms[i] > 0.5);
  const angles = kept.map((i) => (Math.atan2(W[n + i], W[i]) * 180) / Math.PI).sort((a, b) => a - b), k = kept.length;
  const gaps = angles.map((angle, p) => (p + 1 < k ? angles[p + 1] : angles[0] + 360) - angle);
  const off = Math.max(...gaps.map((gap) => Math.abs(gap - 360 / k)), 0);
  const near = (value, to) => Math.abs(value - to) < 6;
  if (k > 2 && off < 3) return `a regular ${POLYGONS[k] ?? `${k}-gon`}: ${k} features, ${(360 / k).toFixed(0)}° apart`;
  const opposite = angles.every((one) => angles.some((other) => near(Math.abs(one - other), 180)));
  if (k > 1 && k % 2 === 0 && opposite) return k === 2 ? "an antipodal pair" : `${k / 2} antipodal pairs`;
  if (k === 2 && near(Math.abs(angles[0] - angles[1]) % 180, 90)) return "2 features, orthogonal";
  return irregular(k, n);
}

function irregular(kept, n) {
  return `${kept === 1 ? "1 feature" : `${kept} features`} of ${n} kept, in no regular figure`;
}
