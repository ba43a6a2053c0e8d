// Training: sample, gradient, update; several restarts, the best one kept. The twin of minitms/training.py.

const LEARNING_RATE = 1e-2, BATCH = 1024, HELD_OUT_EXAMPLES = 2 ** 16;

/** Initial weights: W normal, as wide as Xavier has it for one model's own shape; b = 0. */
function xavier(key, size, { n, m }) {
  const theta = new Float64Array(size);
  normals(key, size - n).forEach((value, p) => { theta[p] = Math.sqrt(2 / (m + n)) * value; });
  return theta;
}

/** Restarts of one model. The seed decides the data and initial weights of each; or all begin with a row `initial`. */
class Training {
  constructor({ features, m, activation = "relu", hidden = "linear", tied = true, steps = 1000, batch = BATCH,
                restarts = 8, seed = 0, target = "x", initial = null }) {
    Object.assign(this, { features, m, activation, hidden, tied, steps, batch, restarts, seed, target, initial, t: 0 });
    const shape = { n: features.n, m, activation, hidden, tied }, size = sizeOf(shape);
    this.x = new Float64Array(batch * features.n);
    this.models = Array.from({ length: restarts }, (_, k) => {
      const theta = initial ? initial.slice() : xavier(batchKey(seed, INITIAL, k, 0), size, shape);
      const model = modelOf(theta, shape);
      return { model, adam: new Adam(size), key: modelKey(seed, TRAINING, k), history: [], recent: NaN, loss: NaN };
    });
    this.found = gradientsOf(shape); // of one restart after the other
    this.gradient = new Float64Array(size);
  }

  get done() {
    return this.t >= this.steps;
  }

  targets(x) {
    return this.target === "abs" ? x.map(Math.abs) : x;
  }

  /** One step of every restart. */
  step() {
    const rate = cosineRate(LEARNING_RATE, this.t, this.steps);
    for (const one of this.models) {
      const x = this.features.batch(stepKey(one.key, this.t), this.batch, this.x);
      const { loss } = lossAndGradients(one.model, x, this.targets(x), this.features.importance, this.found);
      one.adam.step(one.model.theta, gradientRow(one.model, this.found, this.gradient), rate);
      one.history.push(loss);
      one.recent = this.t ? one.recent + 0.05 * (loss - one.recent) : loss;
    }
    this.t++;
    if (this.done) this.score();
  }

  /** The loss of every restart on the same examples, which none was trained on. */
  score() {
    const x = this.features.batch(batchKey(this.seed, HELD_OUT, 0, 0), HELD_OUT_EXAMPLES), t = this.targets(x);
    const { importance } = this.features;
    for (const one of this.models) one.loss = lossAndGradients(one.model, x, t, importance, this.found).loss;
  }

  /** Which restart has the lowest loss: on fresh examples at the end, of its recent batches before. */
  best() {
    const losses = this.models.map((one) => (this.done ? one.loss : one.recent));
    return losses.reduce((best, loss, k) => (loss < losses[best] ? k : best), 0);
  }
}
