// Which polytope do features form? Clusters, named by their Gram matrix: the twin of minitms/polytopes.py.

const REPRESENTED = 0.5, LINKED = 0.2, TOLERANCE = 0.1; // |W_i| and |W_i · W_j| above these; entries of the Gram matrix
const OTHER = "other", NONE = ""; // a cluster that is no such polytope, and a feature that is not represented

/** Corners of the regular k-gon on the unit circle. */
function polygon(k) {
  return Array.from({ length: k }, (_, i) => [Math.cos((2 * Math.PI * i) / k), Math.sin((2 * Math.PI * i) / k)]);
}

/** Corners of two squares on the unit sphere, at heights ±h, one turned by 45° against the other. */
function antiprism(h) {
  const r = Math.sqrt(1 - h * h);
  return polygon(8).map(([x, y], i) => [r * x, r * y, (-1) ** i * h]);
}

/** Corners of unit length, from the largest share of a dimension to the smallest; the share is dimensions / corners. */
const SHAPES = {
  single: [[1]],
  tetrahedron: [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]].map((x) => x.map((v) => v / Math.sqrt(3))),
  triangle: polygon(3),
  digon: [[1], [-1]],
  pentagon: polygon(5),
  "square antiprism": antiprism(1 / Math.sqrt(3)),
};
const gramsOf = (shapes) => Object.fromEntries(Object.entries(shapes).map(([name, corners]) => [
  name, corners.map((one) => corners.map((other) => one.reduce((sum, v, k) => sum + v * other[k], 0))),
]));
const SHAPE_GRAMS = gramsOf(SHAPES);

/** The features of the cluster of i, itself among them: linked to it along a path; itself alone if not represented. */
function companions(A, n, i) {
  const kept = (j) => A[j * n + j] > REPRESENTED ** 2, found = [i];
  if (!kept(i)) return found;
  for (let at = 0; at < found.length; at++) {
    for (let j = 0; j < n; j++) {
      if (kept(j) && Math.abs(A[found[at] * n + j]) > LINKED && !found.includes(j)) found.push(j);
    }
  }
  return found.sort((a, b) => a - b);
}

/** The name of the polytope whose corners these features are, whatever their order, rotation and common length.
 *
 * It has the name if they can be put in an order in which every W_i · W_j / (mean of |W_i|²) is within the tolerance of
 * that of the named corners.
 */
function polytopeName(A, n, members, grams = SHAPE_GRAMS) {
  const k = members.length, mean = members.reduce((sum, i) => sum + A[i * n + i], 0) / k;
  const gram = members.map((i) => members.map((j) => A[i * n + j] / mean));
  const fits = (name) => grams[name].length === k && matches(gram, grams[name]);
  return Object.keys(grams).find(fits) ?? OTHER;
}

/** Whether corners can follow those of a shape in some order; `order` holds the ones taken for its first corners. */
function matches(gram, shape, order = []) {
  const placed = order.length;
  if (placed === shape.length) return true;
  return gram.some((row, corner) => { // one that is taken does not fit: a product with itself is near 1, others are not
    const taken = [...order, corner];
    return taken.every((other, p) => Math.abs(row[other] - shape[placed][p]) <= TOLERANCE)
      && matches(gram, shape, taken);
  });
}

/** The name of the polytope that each feature is a corner of. */
function featurePolytopes(A, n) {
  const names = Array(n).fill(null);
  for (let i = 0; i < n; i++) {
    if (names[i] !== null) continue;
    const members = companions(A, n, i), name = A[i * n + i] > REPRESENTED ** 2 ? polytopeName(A, n, members) : NONE;
    for (const j of members) names[j] = name;
  }
  return names;
}

// What eight and twelve features in three dimensions make: as far apart as they can be, all edges alike.
const ICOSAHEDRON = [[1, 1], [1, -1], [-1, 1], [-1, -1]].flatMap(([one, other]) => {
  const long = (one * (1 + Math.sqrt(5))) / 2, size = Math.hypot(long, other);
  return [[0, other, long], [other, long, 0], [long, 0, other]].map((x) => x.map((v) => v / size));
});
const SOLID_GRAMS = gramsOf({
  "square antiprism": antiprism(1 / Math.sqrt(1 + 2 * Math.SQRT2)), "regular icosahedron": ICOSAHEDRON,
});
const COMPOUNDS = { // by the clusters that they are made of
  "digon, digon, digon": "an octahedron", "triangle, digon": "a triangular bipyramid",
  "digon, pentagon": "a pentagonal bipyramid",
};
const CLUSTERS = { single: ["a single feature", "single features"], digon: ["an antipodal pair", "antipodal pairs"] };

/** What the features in three dimensions make, in words: the polytopes that their clusters are, or all together. */
function spatialArrangement(W, n) {
  const A = gram(W, n), names = featurePolytopes(A, n), kept = [...names.keys()].filter((i) => names[i] !== NONE);
  const kinds = kept.filter((i) => companions(A, n, i)[0] === i).map((i) => names[i]); // one a cluster
  if (!kinds.length || kinds.includes(OTHER)) {
    const solid = kept.length ? polytopeName(A, n, kept, SOLID_GRAMS) : OTHER;
    return solid === OTHER ? irregular(kept.length, n) : `a ${solid}: ${kept.length} features`;
  }
  const count = (kind) => kinds.filter((one) => one === kind).length, found = Object.keys(SHAPES).filter(count);
  const made = found.map((kind) => {
    const [one, many] = CLUSTERS[kind] ?? [`a ${kind}`];
    return count(kind) === 1 ? one : `${count(kind)} ${many}`;
  }).join(" and ");
  if (kinds.length === 1) return kept.length > 2 ? `${made}: ${kept.length} features` : made;
  const compound = COMPOUNDS[found.flatMap((kind) => Array(count(kind)).fill(kind)).join(", ")];
  return `${compound ? `${compound}: ` : ""}${made}, at right angles`;
}

/** How many dimensions these columns of W span, and their places in the three widest of them. */
function widest(W, n, members) {
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
  return { dimensions, corners };
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
