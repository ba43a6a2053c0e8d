// The losses of theory's configurations for one neuron and two features: the twin of minitms/theory.py.

const CONFIGURATIONS = ["first", "extra", "superposed"];

/** Expected loss of each configuration: keep the first feature, keep the extra one, or both as an antipodal pair. */
function configurationLosses(s, r) {
  const variance = s / 3 - (s * s) / 4, pair = (s * s) / 6;
  return { first: r * variance, extra: variance, superposed: (1 + r) * pair };
}

/** Each configuration as (w₁, w₂, b₁, b₂): a feature that is dropped is answered by its mean. */
function configurationModel(name, s) {
  return { first: [1, 0, 0, s / 2], extra: [0, 1, s / 2, 0], superposed: [1, -1, 0, 0] }[name];
}

/** The density below which theory's model uses superposition. */
function boundaryDensity(r) {
  return r <= 1 ? (4 * r) / (2 + 5 * r) : 4 / (5 + 2 * r);
}

/** What one neuron does with two features, by its weights: the classes of minitms.classify. */
function classify(w) {
  const [first, extra] = w.map(Math.abs);
  if (first > 0.8 && extra < 0.2) return "first";
  if (extra > 0.8 && first < 0.2) return "extra";
  return first > 0.2 && extra > 0.2 && w[0] * w[1] < 0 ? "superposed" : "neither";
}
