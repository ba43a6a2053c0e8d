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

/** Room for what `lossAndGradients` finds, made once and filled every step: `encode` is ∂L/∂E, `decode` is ∂L/∂D. */
function gradientsOf({ n, m }) {
  const row = (size) => new Float64Array(size);
  return {
    loss: 0, parts: row(n), encode: row(m * n), decode: row(m * n), db: row(n),
    h: row(m), dz: row(n), on: new Int32Array(n), live: new Int32Array(n),
  };
}

/** Loss of a batch x (batch, n), the part of it that each feature causes, and the gradient, its paths apart.
 *
 * If E and D are tied, the gradient by W is the sum of `encode` and `decode`. What is 0 is passed over: the features
 * that are on stand in the list `on`, the outputs whose error is passed back in `live`. Examples in which nothing is on
 * are alike: they are counted, and answered once, after all others.
 */
function lossAndGradients(model, x, target, importance, found = gradientsOf(model)) {
  const { n, m, E, D, b } = model, { parts, encode, decode, db, h, dz, on, live } = found, batch = x.length / n;
  const relu = model.activation === "relu", cut = model.hidden === "relu";
  for (const sums of [parts, encode, decode, db]) sums.fill(0);
  let empty = 0;
  for (let e = 0; e <= batch; e++) {
    const first = e * n, rest = e === batch;
    let ons = 0, lives = 0;
    if (!rest) for (let i = 0; i < n; i++) if (x[first + i] !== 0) on[ons++] = i;
    if (ons === 0 && !rest) empty++;
    if (ons === 0 && !(rest && empty)) continue;
    const count = rest ? empty : 1;

    for (let k = 0; k < m; k++) {
      let a = 0;
      for (let p = 0; p < ons; p++) a += E[k * n + on[p]] * x[first + on[p]];   // a = x Eᵀ
      h[k] = cut && a < 0 ? 0 : a;                                              // h = f(a)
    }
    for (let i = 0; i < n; i++) {
      let z = b[i];
      for (let k = 0; k < m; k++) z += h[k] * D[k * n + i];                     // z = h D + b
      const error = (relu && z < 0 ? 0 : z) - (rest ? 0 : target[first + i]);   // y - t, and |0| is 0 too
      parts[i] += count * error * error;
      if (relu && z <= 0) continue;                                             // g'(z) = 0
      dz[i] = 2 * count * importance[i] * error;                                // ∂L/∂z = 2 I (y - t) g'(z)
      db[i] += dz[i];                                                           // ∂L/∂b = sum of dz
      live[lives++] = i;
    }
    for (let k = 0; k < m; k++) {
      if (cut && h[k] === 0) continue;                                          // h = 0, and f'(a) = 0
      let da = 0;
      for (let p = 0; p < lives; p++) {
        const i = live[p];
        decode[k * n + i] += h[k] * dz[i];                                      // ∂L/∂D = hᵀ dz
        da += dz[i] * D[k * n + i];                                             // ∂L/∂a = dz Dᵀ f'(a)
      }
      for (let p = 0; p < ons; p++) encode[k * n + on[p]] += da * x[first + on[p]]; // ∂L/∂E = daᵀ x
    }
  }
  found.loss = 0; // and from sums to means over the batch
  for (let i = 0; i < n; i++) {
    parts[i] *= importance[i] / batch;
    db[i] /= batch;
    found.loss += parts[i];
  }
  for (let p = 0; p < m * n; p++) {
    encode[p] /= batch;
    decode[p] /= batch;
  }
  return found;
}

/** The gradient as a row like theta; tied weights are used twice, so that both paths are summed. */
function gradientRow(model, { encode, decode, db }, row = new Float64Array(model.theta.length)) {
  const size = encode.length;
  for (let p = 0; p < size; p++) {
    row[p] = model.tied ? encode[p] + decode[p] : encode[p];
    if (!model.tied) row[size + p] = decode[p];
  }
  row.set(db, row.length - model.n);
  return row;
}
