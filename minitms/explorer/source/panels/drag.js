// Panel "Drag": take a feature by hand, and see the loss and its gradient at once; let go, and it runs downhill.

const DRAG_BATCH = 2048, DOWNHILL_STEPS = 400;
const LOSSES = {
  exact: "exact", batch: `of ${DRAG_BATCH.toLocaleString("en")} examples`, one: "exact, one feature on",
};

class DragPanel {
  id = "drag";
  title = "Drag";

  constructor(wake, changed) {
    Object.assign(this, { wake, changed, held: null, descent: null });
    this.node = element("section");
    const again = () => this.restart(), renew = () => this.renew();
    this.n = slider("features n", upTo(2, 20), 5, String, again);
    this.density = sparsitySlider(renew, (density) => (this.data?.value() !== "one" ? showSparsity(density)
      : `${sparsity(1 / this.n.value())}: exactly one feature is on in each example`));
    this.decay = slider("importance Iᵢ", DECAYS, 1, showDecay, renew);
    this.activation = choice("output g", [["relu", "ReLU"], ["linear", "linear"]], "relu", renew);
    this.hidden = choice("hidden layer f", [["linear", "linear"], ["relu", "ReLU"]], "linear", renew);
    this.data = choice("loss", Object.entries(LOSSES), "exact", () => {
      this.wanted = this.data.value();
      renew();
    });
    this.wanted = this.data.value();
    this.paths = choice("arrows", [["sum", "both paths"], ["apart", "paths apart"]], "sum", renew);
    this.release = element("input", { type: "checkbox", checked: true });
    this.run = button("Run downhill", () => (this.descent ? this.stop() : this.letGo(true)), { className: "main" });
    const buttons = element("div", { className: "buttons" }, this.run,
      button("Scatter", () => { this.seed = (this.seed ?? 0) + 1; this.restart(); }),
      button("Regular polygon", () => this.polygon()),
      element("label", { className: "check" }, this.release, "runs downhill when let go"));
    this.status = element("p", { className: "status" });
    this.view = new Vectors("Features in the hidden space, with their negative gradients as arrows", { size: 420 });
    this.view.node.classList.add("drag", "square");
    this.view.node.setAttribute("role", "group");
    this.arrows = shapes(shape(this.view.node, "g"), "path");
    this.handles = shapes(shape(this.view.node, "g"), "g");
    this.parts = new Bars("Part of the loss that each feature causes", { height: 190 });
    this.gram = new Gram();
    this.slopeBars = new SignedBars("Minus the gradient by each bias");
    this.note = hint();
    this.key = element("ul", { className: "key" });
    const controls = [this.n, this.decay, this.density, this.activation, this.hidden, this.data, this.paths];
    const picture = card(null, this.view.node);
    picture.classList.add("picture");
    this.node.append(
      element("p", {}, "The model that Train shows, in your hand. Take a feature by its dot and move it, by mouse, ",
        "finger, or the arrow keys (Shift for larger moves, Enter to let go). The arrow on it points downhill: minus ",
        "the gradient of the loss by that feature's direction. W enters twice, as encoder and as decoder; the ",
        "gradient is the sum of the two paths. Back in Train, it goes on from what you made."),
      element("div", { className: "wide stage" },
        element("div", { className: "column" }, this.status, picture, this.key, this.note,
          card("Parts of the loss, by feature", this.parts.node,
            hint("Upright line: what the feature would cost if it were dropped, and answered by its mean."))),
        element("div", { className: "column" },
          element("div", { className: "controls" }, ...controls.map((one) => one.node), buttons),
          element("div", { className: "pair" },
            card("Who disturbs whom", this.gram.node,
              hint("Row i, column j: Wᵢ · Wⱼ. Red is above 0, blue below, for b as well.")),
            card("Downhill for b: −∂L/∂b", this.slopeBars.node,
              hint("One bar a feature, as much longer as the arrows. To the right: bᵢ should grow."))))));
    this.view.node.addEventListener("pointerdown", (event) => this.take(event));
    // A finger on a feature moves it; anywhere else it scrolls the page.
    this.view.node.addEventListener("touchstart", (event) => {
      if (this.nearest(event.touches[0]) !== null) event.preventDefault();
    }, { passive: false });
    this.view.node.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) this.view.node.addEventListener(end, () => this.drop());
    this.restart();
    this.taken = { given: null, mark: this.mark() };
  }

  /** The model as it is, for another panel; what was taken and left unchanged is handed back. */
  give() {
    if (this.mark() === this.taken.mark) return this.taken.given;
    return { m: 2, n: this.model.n, ...settingsOf(this), theta: this.theta.slice() };
  }

  /** Show the model of another panel. Of one in three dimensions, which a plane has no room for, the settings alone. */
  receive(given) {
    setTo(this, given);
    if (given.m === 2) {
      this.theta = given.theta.slice();
      this.renew();
    } else this.restart();
    this.taken = { given, mark: this.mark() };
  }

  /** All that one can change of the model, as a text to compare. */
  mark() {
    return JSON.stringify([settingsOf(this), [...this.theta]]);
  }

  /** Begin with features scattered by the seed. */
  restart() {
    const n = this.n.value(), theta = new Float64Array(3 * n);
    normals(batchKey(this.seed ?? 0, INITIAL, 0, 0), 2 * n).forEach((value, p) => { theta[p] = 0.6 * value; });
    this.theta = theta;
    this.renew();
  }

  polygon() {
    const n = this.n.value(), angle = (2 * Math.PI) / n;
    this.theta = Float64Array.from({ length: 3 * n }, (_, p) =>
      p < n ? Math.cos(p * angle) : p < 2 * n ? Math.sin((p - n) * angle) : 0);
    this.renew();
  }

  /** What is asked of the model has changed: its weights stay. */
  renew() {
    const n = this.n.value(), density = this.density.value();
    this.model = modelOf(this.theta, { n, m: 2, activation: this.activation.value(), hidden: this.hidden.value() });
    this.features = new SparseFeatures({
      n, density: Array(n).fill(density), importance: importances(n, this.decay.value()),
    });
    this.x = this.features.batch(batchKey(0, TRAINING, 0, 0), DRAG_BATCH);
    const possible = { exact: isExact(this.model), batch: true, one: this.model.hidden === "linear" };
    for (const option of this.data.input.options) option.disabled = !possible[option.value];
    this.data.set(possible[this.wanted] ? this.wanted : "batch");
    this.density.input.disabled = this.data.value() === "one";
    this.density.tell();
    this.descent = null;
    this.opened();
  }

  /** Draw, in the colours of the theme. */
  opened() {
    this.legend();
    this.update();
  }

  /** Loss and gradient of the weights as they are. */
  evaluate() {
    const { model, x, features: { density, importance, n } } = this, data = this.data.value();
    if (data === "one") return expectedAlone(model, Array(n).fill(1 / n), importance);
    return data === "exact" ? expectedIndependent(model, density, importance)
      : lossAndGradients(model, x, x, importance);
  }

  update() {
    this.dirty = true;
    this.wake();
  }

  frame() {
    if (this.descent && this.held === null) this.downhill(stillness.matches ? 50 : 2);
    if (this.dirty || this.descent) this.draw();
    this.dirty = false;
    return this.descent !== null;
  }

  downhill(steps) {
    for (let k = 0; k < steps && this.descent; k++) {
      const { adam } = this.descent, rate = cosineRate(2e-2, adam.t, DOWNHILL_STEPS);
      adam.step(this.theta, gradientRow(this.model, this.evaluate()), rate);
      if (adam.t === DOWNHILL_STEPS) this.stop();
    }
  }

  letGo(always = false) {
    if (!always && !this.release.checked) return this.changed();
    this.descent = { adam: new Adam(this.theta.length) };
    this.wake();
  }

  stop() {
    this.descent = null;
    this.update();
    this.changed();
  }

  // ------------------------------------------------------------------------------------------------- hand and keys

  /** Where a pointer is, in the hidden space. */
  at(event) {
    const box = this.view.node.getBoundingClientRect(), unit = (2 * this.view.limit) / box.width;
    return [(event.clientX - box.left) * unit - this.view.limit, this.view.limit - (event.clientY - box.top) * unit];
  }

  /** The feature whose tip is next to a pointer, or null if none is near. */
  nearest(event) {
    const [x, y] = this.at(event), n = this.model.n;
    const away = Array.from({ length: n }, (_, i) => Math.hypot(this.theta[i] - x, this.theta[n + i] - y));
    const least = Math.min(...away);
    return least < 0.25 ? away.indexOf(least) : null;
  }

  take(event) {
    const nearest = this.nearest(event), n = this.model.n;
    if (nearest === null) return;
    event.preventDefault();
    this.view.node.setPointerCapture(event.pointerId);
    this.held = nearest;
    this.descent = null;
    this.handles(n, () => ({}))[nearest].focus({ preventScroll: true });
    this.move(event);
  }

  move(event) {
    if (this.held !== null) this.put(this.held, ...this.at(event));
  }

  drop() {
    if (this.held === null) return;
    this.held = null;
    this.letGo();
    this.update();
  }

  put(i, x, y) {
    const inside = (value) => Math.max(-1.55, Math.min(1.55, value)), n = this.model.n;
    this.theta[i] = inside(x);
    this.theta[n + i] = inside(y);
    this.descent = null;
    this.update();
  }

  press(event, i) {
    const step = event.shiftKey ? 0.1 : 0.02, n = this.model.n;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (way) {
      this.put(i, this.theta[i] + step * way[0], this.theta[n + i] + step * way[1]);
      this.changed();
    } else if (event.key === "Enter" || event.key === " ") this.letGo(true);
    else return;
    event.preventDefault();
  }

  // ----------------------------------------------------------------------------------------------------------- draw

  draw() {
    const { model, view, features: { n, importance } } = this, found = this.evaluate(), W = model.D;
    const colors = importanceColors(importance), apart = this.paths.value() === "apart";
    view.draw(W, n, colors);
    // Gradients fall with the density; arrows are drawn longer by a factor that makes up for it.
    const scale = this.data.value() === "one" ? n / 2 : Number((0.5 / this.density.value()).toPrecision(2));
    const kinds = apart ? ["encode", "decode"] : ["sum"];
    const slope = { ...found, sum: found.encode.map((value, p) => value + found.decode[p]) };
    this.arrows(n * kinds.length, (p) => {
      const i = p % n, kind = kinds[Math.floor(p / n)], color = kind === "sum" ? "down" : kind;
      const end = [W[i] - scale * slope[kind][i], W[n + i] - scale * slope[kind][n + i]];
      return {
        d: arrowPath(view.place(W[i], W[n + i]), view.place(...end)), stroke: `var(--${color})`, fill: "none",
        "stroke-width": 2.5, "stroke-linejoin": "round", "stroke-linecap": "round",
      };
    });
    this.drawHandles(found, n);
    const dropped = this.data.value() === "one" ? 1 / n : this.density.value(), largest = Math.max(...found.parts);
    const ticks = Array.from(importance, (I) => I * (dropped / 3 - (dropped * dropped) / 4));
    this.parts.most = Math.max(largest, ...ticks) || 1;
    this.parts.draw(found.parts, colors, ticks);
    this.gram.draw(gram(W, n), model.b);
    this.slopeBars.draw(found.db.map((value) => -scale * value), colors);
    const norm = Math.hypot(...slope.sum);
    const loss = `L = ${readable(found.loss, 4)} (${LOSSES[this.data.value()]})`;
    const flat = Math.max(...slope.sum.map(Math.abs)) * scale < 0.02
      ? " Too flat for arrows to be seen: move a feature." : "";
    write(this.status, `${loss}, |∂L/∂W| = ${readable(norm)}; ${arrangement(W, n)}.${flat}`);
    const other = this.taken?.given?.m === 3 ? " Train’s model has three dimensions; this one has two." : "";
    write(this.note, `Arrows are drawn ${scale} times as long as −∂L/∂W. ${this.about()}${other}`);
    write(this.run, this.descent ? "Stop" : "Run downhill");
    if (!this.descent && this.held === null) this.changed();
  }

  /** Which loss is shown, in words. */
  about() {
    const why = this.model.hidden === "relu" ? "with a hidden ReLU there is no exact one here"
      : `the exact one of a ReLU model is computed for up to ${MOST_FEATURES} features`;
    return {
      exact: "The loss is exact: an integral over all that independent features can do, without samples.",
      one: "The loss is exact, an integral without samples, of data of which exactly one feature is on at a time.",
      batch: `The loss is the mean over ${DRAG_BATCH.toLocaleString("en")} examples, always the same`
        + `${this.wanted === "batch" ? "" : `; ${why}`}.`,
    }[this.data.value()];
  }

  drawHandles(found, n) {
    const place = (i) => this.view.place(this.theta[i], this.theta[n + i]);
    this.handles(n, (i) => ({ transform: `translate(${place(i).map((v) => v.toFixed(2))})` })).forEach((handle, i) => {
      if (!handle.firstChild) {
        shape(handle, "circle", { r: 24, class: "halo", fill: "transparent" }); // as wide as a finger
        change(handle, { class: "handle", tabindex: 0, role: "button" });
        handle.addEventListener("keydown", (event) => this.press(event, i));
      }
      if (this.descent) return;
      const [x, y] = [this.theta[i], this.theta[n + i]].map((value) => value.toFixed(2));
      change(handle, { "aria-label": `feature ${i} at ${x}, ${y}; loss ${found.loss.toPrecision(4)}` });
    });
  }

  /** What the colours mean. */
  legend() {
    const entries = this.paths.value() === "apart"
      ? [["var(--encode)", "downhill by encoder's path: W reads x"],
        ["var(--decode)", "downhill by decoder's path: W writes y"]]
      : [["var(--down)", "downhill: −∂L/∂W, both paths together"]];
    this.key.replaceChildren(...keyEntries([importanceEntry(this.features.importance), ...entries, SPACE]));
  }

  python() {
    const { n } = this.model;
    const { activation, hidden } = this.model, importance = importanceCode(n, this.decay.value());
    const words = `activation="${activation}"${hidden === "relu" ? ', hidden="relu"' : ""}`;
    const start = `import numpy as np
import minitms as tms

${modelCode(this.theta, n, (value) => Number(value.toFixed(6)))}`;
    const data = this.data.value();
    if (data !== "batch") {
      const more = importance.replace("importance=", '"importance": ');
      const on = data === "one" ? '"pattern": "exactly_one"' : `"density": ${this.density.value()}`;
      return `${start}words = {"activation": "${activation}", ${on}${more}}
L = tms.expected_loss(W, b, **words)
dW, db = tms.expected_gradients(W, b, **words)
print(L, dW, db, sep="\\n")`;
    }
    const call = (weights) => `tms.loss_and_gradients(${weights}, b, x, features.importance, ${words})`;
    const apart = this.paths.value() === "apart" ? `
_, (encode, decode), _ = ${call("(W, W)")}
print(encode, decode, sep="\\n")         # the two paths of dW` : "";
    return `${start}features = tms.SparseFeatures(n=${n}, density=${this.density.value()}${importance})
x = features.sample(${DRAG_BATCH}, seed=0)
L, dW, db = ${call("W")}
print(L, dW, db, sep="\\n")${apart}`;
  }
}

/** An arrow as one path, its head no longer than itself; nothing where it is too short to see. */
function arrowPath([x1, y1], [x2, y2]) {
  const length = Math.hypot(x2 - x1, y2 - y1);
  if (length < 1) return "M0 0";
  const head = Math.min(9, 0.5 * length), [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const at = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const side = (turn) => at(x2 - head * (ux - turn * uy * 0.6), y2 - head * (uy + turn * ux * 0.6));
  return `M${at(x1, y1)}L${at(x2, y2)}M${side(1)}L${at(x2, y2)}L${side(-1)}`;
}
