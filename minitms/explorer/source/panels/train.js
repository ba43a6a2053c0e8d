// Panel "Train": a model of a few features, trained from several starts at once, before one's eyes.

const DENSITIES = [1, 0.7, 0.5, 0.3, 0.2, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01];
const DECAYS = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1];
const SHOW = 1500; // milliseconds of a run: fewer could not be followed by the eye; a slow machine takes more
const upTo = (first, last) => Array.from({ length: last - first + 1 }, (_, k) => first + k);
const showDecay = (decay) => (decay === 1 ? "1" : `${decay}ⁱ`);
const sparsity = (density) => Number((1 - density).toFixed(3));
const SPACE = [null, "grey: the axes of the hidden space; dashed: length 1"]; // of the keys below a picture
const percent = (density) => `${Math.round(100 * density)} %`;
const showSparsity = (density) => `${sparsity(density)}: each feature is on in ${percent(density)} of examples`;

/** The slider of the sparsity, which says in words what it means. */
function sparsitySlider(changed, show = showSparsity) {
  const made = slider("sparsity S = ", DENSITIES, 0.05, show, changed);
  made.node.classList.add("long");
  return made;
}

/** Importances decay^i. */
function importances(n, decay) {
  return Array.from({ length: n }, (_, i) => decay ** i);
}

class TrainPanel {
  id = "train";
  title = "Train";

  constructor(wake, changed) {
    Object.assign(this, { wake, changed, turn: 0, frames: 0, chosen: null });
    this.node = element("section");
    const again = () => this.restart();
    this.n = slider("features n", upTo(2, 20), 5, String, again);
    this.m = choice("dimensions m", [["2", "2"], ["3", "3 (turning)"]], "2", again);
    this.density = sparsitySlider(again);
    this.decay = slider("importance Iᵢ", DECAYS, 1, showDecay, again);
    this.activation = choice("output g", [["relu", "ReLU"], ["linear", "linear"]], "relu", again);
    this.hidden = choice("hidden layer f", [["linear", "linear"], ["relu", "ReLU"]], "linear", again);
    this.steps = choice("steps", [["1000", "1,000"], ["5000", "5,000"]], "1000", again);
    this.restarts = slider("restarts", upTo(1, 8), 8, String, again);
    this.seed = element("input", { type: "number", min: 0, max: 2 ** 31, value: 0 });
    this.seed.addEventListener("change", again);
    this.go = button("Pause", () => this.toggle(), { className: "main" });
    const next = button("Next seed", () => {
      this.seed.value = this.seedValue() + 1;
      this.restart();
    });
    const buttons = element("div", { className: "buttons" }, this.go, button("Start anew", again), next);
    const controls = [this.n, this.m, this.density, this.decay, this.restarts, this.activation, this.hidden,
      this.steps];
    const seed = element("label", {}, element("span", {}, "seed"), this.seed);
    this.status = element("p", { className: "status", role: "status" });
    this.view = new Vectors("Features as arrows in the hidden space", { size: 360 });
    this.view.node.classList.add("square");
    this.gram = new Gram();
    this.shares = new Bars("Dimensionality of each feature", {
      height: 140, lines: [[0.4, "2/5", "end"], [0.5, "1/2", "start"], [1, "1"]],
    });
    this.curves = new Curves("Loss of each restart over the steps");
    this.strip = element("div", { className: "strip", role: "group", "aria-label": "Restarts" });
    this.heading = element("h3");
    this.key = element("ul", { className: "key" });
    const picture = card(null, this.heading, this.view.node);
    picture.classList.add("picture");
    this.node.append(
      element("p", {}, "Each feature is a line from the middle to a dot: its column of W, the direction in which the ",
        "model stores it. Every restart begins elsewhere and sees other data; most end in a local minimum, so that ",
        "one keeps the best."),
      element("div", { className: "wide stage" },
        element("div", { className: "column" }, this.status, picture, this.key,
          card("All restarts, each with its loss", this.strip,
            hint("★ marks the best, once all have ended. Press one to see it large."))),
        element("div", { className: "column" },
          element("div", { className: "controls" }, ...controls.map((one) => one.node), seed, buttons),
          element("div", { className: "pair" },
            card("Who disturbs whom", this.gram.node,
              hint("Row i, column j: Wᵢ · Wⱼ. Red is above 0, blue below, for b as well.")),
            card("D, share of a dimension", this.shares.node,
              hint("A feature alone has 1, one of a pair 1/2, a corner of a pentagon 2/5."))),
          card("Loss of each restart", this.curves.node, element("ul", { className: "key" }, ...keyEntries([
            ["var(--accent)", "the one shown large"], ["var(--soft)", "the others"]]))))),
    );
    this.restart();
  }

  /** The seed, a whole number from 0; whatever else was written is put right. */
  seedValue() {
    const seed = Math.min(2 ** 31, Math.max(0, Math.floor(Number(this.seed.value) || 0)));
    this.seed.value = seed;
    return seed;
  }

  /** Train anew, from the seed's initial weights, or all restarts from a model `initial`. */
  restart(initial = null) {
    const n = this.n.value(), density = this.density.value(), decay = this.decay.value();
    const features = new SparseFeatures({ n, density: Array(n).fill(density), importance: importances(n, decay) });
    this.training = new Training({
      features, m: Number(this.m.value()), activation: this.activation.value(), hidden: this.hidden.value(),
      steps: Number(this.steps.value()), restarts: this.restarts.value(), seed: this.seedValue(), initial,
    });
    this.lent = null;
    this.chosen = null;
    this.running = true;
    this.clock = 0; // milliseconds of training, without pauses
    this.before = null; // when the last frame was
    this.strip.replaceChildren();
    this.small = this.training.models.map((_, k) => {
      const view = new Vectors(`Restart ${k}`, { size: 100, numbers: false });
      const loss = element("span", { className: "loss" });
      const press = button("", () => this.choose(k), { "aria-pressed": "false" });
      press.append(view.node, loss);
      this.strip.append(press);
      return { view, loss, press };
    });
    this.opened();
    this.announce();
    this.wake();
  }

  /** Draw, in the colours of the theme. */
  opened() {
    this.key.replaceChildren(...keyEntries([importanceEntry(this.training.features.importance), SPACE]));
    this.draw();
  }

  /** The model that is shown, for another panel. */
  give() {
    const { features: { n }, m } = this.training, { theta } = this.training.models[this.shown].model;
    this.lent = { m, n, ...settingsOf(this), theta: theta.slice() };
    return this.lent;
  }

  /** Go on from the model of another panel, unless it is the one that was given. */
  receive(given) {
    if (given === this.lent) return;
    setTo(this, given);
    this.m.set(String(given.m));
    this.restart(given.theta);
  }

  toggle() {
    if (this.training.done) return this.restart();
    this.running = !this.running;
    this.before = null;
    this.announce();
    this.wake();
  }

  choose(k) {
    this.chosen = k;
    this.draw();
    this.announce();
  }

  /** The restart that is shown large. */
  get shown() {
    return this.chosen ?? this.training.best();
  }

  /** Train for a part of a frame, which began at `now`, and draw; true if there is more to do. */
  frame(now) {
    const { training } = this;
    if (this.running && !training.done) this.train(now);
    const turning = training.m === 3 && !stillness.matches, busy = this.running && !training.done;
    if (turning) this.turn += 0.01;
    this.frames++;
    if (!busy || !stillness.matches) this.draw(busy ? this.frames % 4 : null);
    return busy || turning;
  }

  /** The steps that are due by the clock, as many as half of a frame has room for: the other half is for drawing.
   *
   * Where frames are slow, each has more room and more that is due. A frame after a long break counts as a short one.
   */
  train(now) {
    const { training } = this, passed = Math.min(100, now - (this.before ?? now - 16)), start = performance.now();
    this.before = now;
    this.clock += passed;
    const due = Math.min(training.steps, Math.ceil((training.steps * this.clock) / SHOW)), first = training.t;
    while (training.t < due) {
      training.step();
      const spent = performance.now() - start;
      if (spent + spent / (training.t - first) > passed / 2) break; // one more would be too many
    }
    if (training.done) this.announce();
    else this.say();
  }

  /** Draw everything; or, with a `part` of 0 to 3, the large view, and in turn a quarter of all else. */
  draw(part = null) {
    const { training, shown } = this, { n, importance } = training.features, best = training.best();
    const { done, models } = training, { model } = models[shown], A = gram(model.D, n);
    const colors = importanceColors(importance);
    const due = (k) => part === null || k % 4 === part;
    this.view.draw(model.D, n, colors, this.turn);
    if (due(0)) this.gram.draw(A, model.b);
    if (due(1)) this.shares.draw(dimensionality(model.D, n, A), colors);
    if (due(2)) this.curves.draw(training.models.map((one) => one.history), training.steps, (k) => ({
      stroke: k === shown ? "var(--accent)" : "var(--soft)", "stroke-width": k === shown ? 2 : 1,
      "stroke-opacity": k === shown ? 1 : 0.45,
    }));
    this.small.forEach(({ view, loss, press }, k) => {
      if (!due(k)) return;
      const one = training.models[k];
      view.draw(one.model.D, n, colors, this.turn);
      write(loss, readable(Number.isFinite(one.loss) ? one.loss : one.recent));
      press.classList.toggle("best", done && k === best);
      change(press, {
        "aria-pressed": String(k === shown),
        "aria-label": `restart ${k}, loss ${loss.textContent}${done && k === best ? ", the best" : ""}`,
      });
    });
    write(this.heading, `Restart ${shown}${shown === best ? `, the best${done ? "" : " so far"}` : ""}`);
  }

  say() {
    const { t, steps } = this.training;
    write(this.go, this.training.done ? "Train again" : this.running ? "Pause" : "Go on");
    if (!this.training.done) { // every step would be too much to listen to
      const begun = `Training${this.training.initial ? ", from the model in Drag" : ""}…`;
      write(this.status, this.running ? begun : `Paused after step ${t} of ${steps}.`);
      return;
    }
    const { training, shown } = this, { model } = training.models[shown];
    const losses = training.models.map((one) => one.loss);
    const least = losses[training.best()], close = losses.filter((loss) => loss <= 1.01 * least).length;
    const from = training.initial ? ", from the model in Drag" : "";
    const mixed = this.decay.value() === 1 && this.density.value() > 0.8
      ? " Features so dense and of equal importance may be kept in any mixture; choose unequal importances." : "";
    this.status.textContent = `Done in ${(this.clock / 1000).toFixed(1)} s${from}. Restart ${shown}: `
      + `${arrangement(model.D, training.features.n)}; loss ${readable(losses[shown], 4)}. `
      + `Within 1 % of the best: ${close} of ${losses.length}.${mixed}`;
  }

  announce() {
    this.say();
    this.changed();
  }

  python() {
    const { training, shown } = this, paused = !this.running && !training.done && training.t > 0;
    const decay = this.decay.value(), { n } = training.features;
    const words = [`n_hidden=${training.m}`, `activation="${training.activation}"`];
    if (training.hidden !== "linear") words.push(`hidden="${training.hidden}"`);
    words.push(`steps=${training.steps}`, `restarts=${training.restarts}`, `seed=${training.seed}`, 'dtype="float64"');
    if (paused) words.push(`snapshots=[${training.t}]`);
    if (training.initial) words.push("initial=(W, b)");
    const which = this.chosen === null ? "run.best().restart" : String(shown);
    const start = training.initial ? `${modelCode(training.initial, n)}\n` : "";
    const where = paused ? ["snapshots.W", `[${shown}, 0]`] : ["W", `[${which}]`];
    return `import numpy as np
import minitms as tms

${start}features = tms.SparseFeatures(n=${n}, density=${this.density.value()}${importanceCode(n, decay)})
run = tms.train(features, ${words.join(", ")})
W, b = run.${where[0]}${where[1]}, run.${where[0].replace("W", "b")}${where[1]}
print(W.round(3), b.round(3), tms.dimensionality(W).round(3), sep="\\n")`;
  }
}

/** What a model is asked to do, by the controls of a panel; and the controls set so. */
function settingsOf(panel) {
  return {
    density: panel.density.value(), decay: panel.decay.value(), activation: panel.activation.value(),
    hidden: panel.hidden.value(),
  };
}

function setTo(panel, { n, density, decay, activation, hidden }) {
  panel.n.set(n);
  panel.density.set(density);
  panel.decay.set(decay);
  panel.activation.set(activation);
  panel.hidden.set(hidden);
}

/** A model of two hidden dimensions in Python; `digits` cuts its numbers. */
function modelCode(theta, n, digits = (value) => value) {
  const row = (first) => `[${Array.from(theta.subarray(first, first + n), digits).join(", ")}]`;
  return `W = np.array([${row(0)},
              ${row(n)}])
b = np.array(${row(2 * n)})
`;
}

/** Importance as an argument in Python. */
function importanceCode(n, decay) {
  return decay === 1 ? "" : `, importance=${decay} ** np.arange(${n})`;
}
