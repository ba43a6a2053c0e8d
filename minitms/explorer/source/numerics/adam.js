// Adam's update rule and the cosine schedule: the twin of minitms/adam.py.
//
//     m <- β₁ m + (1 - β₁) g     v <- β₂ v + (1 - β₂) g²     w <- w - η (m / c₁) / (√(v / c₂) + ε),     c = 1 - βᵗ

const BETA1 = 0.9, BETA2 = 0.999, EPSILON = 1e-8;

/** Move a row of weights by its gradient, in place; `t` counts the steps from 1. */
class Adam {
  constructor(size) {
    this.m = new Float64Array(size);
    this.v = new Float64Array(size);
    this.t = 0;
  }

  step(w, g, rate) {
    const { m, v } = this, t = ++this.t;
    const unbiasM = 1 / (1 - BETA1 ** t), unbiasV = 1 / Math.sqrt(1 - BETA2 ** t);
    for (let p = 0; p < w.length; p++) {
      m[p] += (1 - BETA1) * (g[p] - m[p]);
      v[p] += (1 - BETA2) * (g[p] * g[p] - v[p]);
      w[p] -= rate * ((m[p] * unbiasM) / (Math.sqrt(v[p]) * unbiasV + EPSILON));
    }
  }
}

/** The learning rate of step t = 0 .. steps - 1: from η along a cosine, to 0 at the step after the last. */
function cosineRate(rate, t, steps) {
  return (rate * (1 + Math.cos((Math.PI * t) / steps))) / 2;
}
