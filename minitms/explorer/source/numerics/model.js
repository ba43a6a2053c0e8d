// The models and their gradient, by hand: the twin of minitms/model.py, with loops in place of products of arrays.
//
//     a = x Eᵀ     h = f(a)     z = h D + b     y = g(z)     L = mean over the batch of  sum_i I_i (y_i - t_i)²
//
// A model is {n, m, activation, hidden, tied, E, D, b}. E and D hold the rows of (m, n) one behind the other, and are
// one array if they are tied. ReLU's derivative at exactly 0 is taken as 0.

/** A model whose numbers are views of one row theta = E | D, unless tied | b, as in minitms/weights.py. */
function modelOf(theta, { n, m, activation = "relu", hidden = "linear", tied = true }) {
  const decoder = tied ? 0 : m * n;
  return {
    n, m, activation, hidden, tied, theta,
    E: theta.subarray(0, m * n), D: theta.subarray(decoder, decoder + m * n), b: theta.subarray(theta.length - n),
  };
}

/** How many numbers a model has. */
function sizeOf({ n, m, tied = true }) {
  return (tied ? 1 : 2) * m * n + n;
}

/** Hidden values before f, and outputs after g, of the example that begins at x[first]; `a` and `y` are filled. */
function forward({ n, m, activation, hidden, E, D, b }, x, first, a, y) {
  a.fill(0);
  for (let i = 0; i < n; i++) {
    const value = x[first + i];
    if (value === 0) continue; // most features are off
    for (let k = 0; k < m; k++) a[k] += E[k * n + i] * value;
  }
  for (let i = 0; i < n; i++) y[i] = b[i];
  for (let k = 0; k < m; k++) {
    const h = hidden === "relu" && a[k] < 0 ? 0 : a[k];
    for (let i = 0; i < n; i++) y[i] += h * D[k * n + i];
  }
  if (activation === "relu") for (let i = 0; i < n; i++) if (y[i] < 0) y[i] = 0;
}

/** Loss of a batch x (batch, n), the part of it that each feature causes, and the gradient, its paths apart.
 *
 * `encode` is the gradient by E and `decode` that by D; if the two are tied, the gradient by W is their sum.
 * Examples in which nothing is on are alike: they are counted, and answered once.
 */
function lossAndGradients(model, x, target, importance) {
  const { n, m, activation, hidden, E, D } = model, batch = x.length / n;
  const parts = new Float64Array(n), db = new Float64Array(n);
  const encode = new Float64Array(m * n), decode = new Float64Array(m * n);
  const a = new Float64Array(m), y = new Float64Array(n), dz = new Float64Array(n);

  const learn = (x, t, first, count) => {
    forward(model, x, first, a, y);
    for (let i = 0; i < n; i++) {
      const error = y[i] - t[first + i];
      const dy = (2 * importance[i] * error * count) / batch;                 // ∂L/∂y = 2 I (y - t) / batch
      parts[i] += (importance[i] * error * error * count) / batch;
      dz[i] = activation === "relu" && y[i] <= 0 ? 0 : dy;                    // ∂L/∂z = dy g'(z)
      db[i] += dz[i];                                                         // ∂L/∂b = sum of dz
    }
    for (let k = 0; k < m; k++) {
      if (hidden === "relu" && a[k] <= 0) continue;                           // h = 0, and ∂L/∂a = dh f'(a) = 0
      let dh = 0;
      for (let i = 0; i < n; i++) {
        decode[k * n + i] += a[k] * dz[i];                                    // ∂L/∂D = hᵀ dz
        dh += dz[i] * D[k * n + i];                                           // ∂L/∂h = dz Dᵀ
      }
      for (let i = 0; i < n; i++) {
        if (x[first + i] !== 0) encode[k * n + i] += dh * x[first + i];       // ∂L/∂E = daᵀ x
      }
    }
  };

  let empty = 0;
  for (let first = 0; first < batch * n; first += n) {
    let at = first;
    while (at < first + n && x[at] === 0) at++;
    if (at < first + n) learn(x, target, first, 1);
    else empty++;
  }
  if (empty) learn(new Float64Array(n), new Float64Array(n), 0, empty); // |0| is 0 too
  return { loss: parts.reduce((sum, part) => sum + part, 0), parts, encode, decode, db };
}

/** The gradient as a row like theta; tied weights are used twice, so that both paths are summed. */
function gradientRow(model, { encode, decode, db }) {
  const row = new Float64Array(model.theta.length), size = encode.length;
  for (let i = 0; i < size; i++) {
    row[i] = encode[i];
    row[model.tied ? i : size + i] += decode[i];
  }
  row.set(db, row.length - model.n);
  return row;
}
