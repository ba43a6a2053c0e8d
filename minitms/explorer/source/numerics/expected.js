// Losses with the sampling integrated out exactly: the twin of minitms/expected.py, where the integrals are derived.
//
// Here: any model of which at most one feature is on at a time, and one neuron of two features. In cubes.js: features
// that are on independently of each other.

/** J = ∫₀¹ (g(c x + d) - t x)² dx, and its derivatives by c and d.
 *
 * The output is on in an interval, where the residual runs linearly from p to q: the mean of its square is
 * (p² + p q + q²) / 3. That form does not cancel.
 */
function alongOne(c, d, t, relu) {
  let low = 0, high = 1;
  if (relu) {
    if (d <= 0 && c + d <= 0) low = high = 0;
    else if (d < 0) low = Math.min(1, -d / c);
    else if (c + d < 0) high = Math.min(1, -d / c);
  }
  const p = (c - t) * low + d, q = (c - t) * high + d, length = high - low;
  const off = (t * t * (1 - high ** 3 + low ** 3)) / 3; // where the output is 0
  return {
    J: off + (length * (p * p + p * q + q * q)) / 3,
    dc: (length * (2 * p * low + 2 * q * high + p * high + q * low)) / 3, // ∫ 2 (residual) x
    dd: length * (p + q),                                                 // ∫ 2 (residual)
  };
}

/** Loss, its parts and its gradient if at most one feature is on at a time: feature j alone with its density.
 *
 * Tied models with a linear hidden layer. With A = WᵀW and G = ∂L/∂A: W_i as what writes output i gets Σ_j G_ij W_j,
 * and W_j as what reads feature j gets Σ_i G_ij W_i.
 */
function expectedAlone(model, density, importance) {
  const { n, D: W, b } = model, relu = model.activation === "relu";
  const A = gram(W, n), G = new Float64Array(n * n);
  const out = { parts: new Float64Array(n), db: new Float64Array(n) };
  const none = 1 - density.reduce((sum, s) => sum + s, 0);
  for (let i = 0; i < n; i++) {
    const z = relu ? Math.max(b[i], 0) : b[i];
    out.parts[i] = none * importance[i] * z * z;
    out.db[i] = 2 * none * importance[i] * z;
    for (let j = 0; j < n; j++) {
      const { J, dc, dd } = alongOne(A[i * n + j], b[i], i === j ? 1 : 0, relu), weight = density[j] * importance[i];
      out.parts[i] += weight * J;
      out.db[i] += weight * dd;
      G[i * n + j] = weight * dc;
    }
  }
  return throughGram(model, G, out);
}

/** Add to `out` = {parts, db} the loss, and the gradient through A = WᵀW, of which G = ∂L/∂A: by its two paths. */
function throughGram({ n, m, D: W }, G, out) {
  out.loss = out.parts.reduce((sum, part) => sum + part, 0);
  out.decode = new Float64Array(m * n);
  out.encode = new Float64Array(m * n);
  for (let k = 0; k < m; k++) {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        out.decode[k * n + i] += G[i * n + j] * W[k * n + j];
        out.encode[k * n + j] += G[i * n + j] * W[k * n + i];
      }
    }
  }
  return out;
}

/** Nodes and weights of Gauss and Legendre on [0, 1]: three are exact to degree five. */
const NODES = [0.5 - Math.sqrt(0.15), 0.5, 0.5 + Math.sqrt(0.15)], NODE_WEIGHTS = [5 / 18, 8 / 18, 5 / 18];

/** Loss and gradient of one ReLU neuron of two features: `x` is (w₁, w₂, b₁, b₂), the importances are 1 and r.
 *
 * Independent features are both on with probability s², and features that come together with s.
 */
function expectedPair(x, s, r, together = false) {
  const [none, one, two] = together ? [1 - s, 0, s] : [(1 - s) ** 2, s * (1 - s), s * s];
  const w = [x[0], x[1]], o = w[0] * w[1], gradient = [0, 0, 0, 0];
  let loss = 0;
  for (const i of [0, 1]) {
    const importance = i ? r : 1, c = w[i] * w[i], d = x[2 + i];
    let J = none * Math.max(d, 0) ** 2, dc = 0, dother = 0, dd = 2 * none * Math.max(d, 0);
    if (one > 0) {
      const own = alongOne(c, d, 1, true), other = alongOne(o, d, 0, true);
      J += one * (own.J + other.J);
      dc += one * own.dc;
      dother += one * other.dc;
      dd += one * (own.dd + other.dd);
    }
    // Both on: by hand along x_i, by nodes along the other, between the kinks where z = 0 passes x_i = 0 and x_i = 1.
    const kinks = [0, -d / o, -(d + c) / o, 1].filter((t) => t >= 0 && t <= 1).sort((a, b) => a - b);
    for (let piece = 1; piece < kinks.length; piece++) {
      const length = kinks[piece] - kinks[piece - 1];
      NODES.forEach((node, k) => {
        const t = kinks[piece - 1] + node * length, weight = two * length * NODE_WEIGHTS[k];
        const inner = alongOne(c, o * t + d, 1, true);
        J += weight * inner.J;
        dc += weight * inner.dc;
        dother += weight * inner.dd * t;
        dd += weight * inner.dd;
      });
    }
    loss += importance * J;
    gradient[i] += importance * 2 * w[i] * dc;     // c = w_i²
    gradient[i] += importance * w[1 - i] * dother; // o = w_1 w_2
    gradient[1 - i] += importance * w[i] * dother;
    gradient[2 + i] += importance * dd;
  }
  return { loss, gradient };
}

/** Go downhill from `start` by BFGS with halved steps, until the gradient of `f(x) = {loss, gradient}` is nearly 0. */
function descend(f, start, steps = 300) {
  const size = start.length, dot = (a, b) => a.reduce((sum, value, p) => sum + value * b[p], 0);
  const unit = () => start.map((_, p) => start.map((_, q) => (p === q ? 1 : 0)));
  let x = Array.from(start), here = f(x), H = unit();
  for (let step = 0; step < steps && Math.max(...here.gradient.map(Math.abs)) > 1e-12; step++) {
    let way = H.map((row) => -dot(row, here.gradient));
    if (dot(way, here.gradient) >= 0) { H = unit(); way = here.gradient.map((g) => -g); }
    let length = 1, next = x, there = here;
    for (; length > 1e-12; length /= 2) {
      next = x.map((value, p) => value + length * way[p]);
      there = f(next);
      if (there.loss <= here.loss + 1e-4 * length * dot(way, here.gradient)) break;
    }
    if (length <= 1e-12) break;
    const dx = next.map((value, p) => value - x[p]), dg = there.gradient.map((g, p) => g - here.gradient[p]);
    const curve = dot(dx, dg), Hdg = H.map((row) => dot(row, dg));
    if (curve > 1e-18) {
      const factor = (1 + dot(dg, Hdg) / curve) / curve;
      for (let p = 0; p < size; p++) {
        for (let q = 0; q < size; q++) H[p][q] += factor * dx[p] * dx[q] - (Hdg[p] * dx[q] + dx[p] * Hdg[q]) / curve;
      }
    }
    [x, here] = [next, there];
  }
  return { x, loss: here.loss, gradient: here.gradient };
}
