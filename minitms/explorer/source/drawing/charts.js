// Charts that many panels share: vectors in the plane, WᵀW with b, bars, curves.

/** The columns of W as points on stalks, around an origin in the middle; three dimensions are turned and projected. */
class Vectors {
  constructor(label, { size = 320, limit = 1.6, numbers = true } = {}) {
    Object.assign(this, { size, limit, numbers });
    this.node = drawing(size, size, label);
    const half = size / 2;
    this.axes = shapes(shape(this.node, "g"), "line");
    shape(this.node, "circle", { class: "guide", cx: half, cy: half, r: half / limit });
    this.stalks = shapes(shape(this.node, "g"), "line");
    this.tips = shapes(shape(this.node, "g"), "circle");
    this.names = shapes(shape(this.node, "g"), "text");
  }

  /** A place in the plane, in the drawing's own units. */
  place(x, y) {
    const half = this.size / 2, unit = half / this.limit;
    return [half + x * unit, half - y * unit];
  }

  draw(W, n, colors, turn = 0) {
    const ends = projected(W, n, turn), [x0, y0] = this.place(0, 0), large = this.size > 150;
    const at = ends.map(([x, y]) => this.place(x, y)), m = W.length / n, long = 0.95 * this.limit;
    const axes = projected(Float64Array.from({ length: m * m }, (_, p) => (p % (m + 1) ? 0 : long)), m, turn);
    this.axes(m, (k) => {
      const [x, y] = axes[k], [from, to] = [this.place(-x, -y), this.place(x, y)];
      return { class: "axis", x1: from[0], y1: from[1], x2: to[0], y2: to[1] };
    });
    this.stalks(n, (i) => ({
      x1: x0, y1: y0, x2: at[i][0], y2: at[i][1], stroke: colors[i], "stroke-width": large ? 2.5 : 2,
      "stroke-linecap": "round", "stroke-opacity": depth(ends[i][2]),
    }));
    this.tips(n, (i) => ({
      cx: at[i][0], cy: at[i][1], r: large ? 6 : 4, fill: colors[i], "fill-opacity": depth(ends[i][2]),
    }));
    if (!this.numbers) return;
    this.names(n, (i) => {
      const length = Math.hypot(ends[i][0], ends[i][1]), out = length > 0.15 ? 1 + 0.16 / length : 0;
      const [x, y] = this.place(ends[i][0] * out, ends[i][1] * out);
      return { x, y: y + 5, "text-anchor": "middle", class: "name", text: out ? i : "" };
    });
  }
}

/** Places (x, y, z) of the columns of W (m, n); z is 0 in the plane. A third dimension turns about a tilted axis. */
function projected(W, n, turn) {
  return Array.from({ length: n }, (_, i) => {
    if (W.length === 2 * n) return [W[i], W[n + i], 0];
    const [x, y, z] = [W[i], W[n + i], W[2 * n + i]], c = Math.cos(turn), s = Math.sin(turn);
    const across = c * x + s * z, into = c * z - s * x, ct = Math.cos(0.35), st = Math.sin(0.35);
    return [across, ct * y - st * into, st * y + ct * into];
  });
}

function depth(z) {
  return 0.75 + 0.25 * Math.max(-1, Math.min(1, z));
}

/** WᵀW on -1 .. 1, red positive and blue negative, and b as a column beside it. */
class Gram {
  constructor() {
    this.node = drawing(168, 158, "Heat map of W transposed times W, and the bias b");
    this.node.classList.add("matrix");
    for (const [x, width] of [[0, 140], [150, 14]]) {
      shape(this.node, "rect", { x, width, height: 140, fill: "var(--zero)" });
    }
    this.cells = shapes(shape(this.node, "g"), "rect");
    this.biases = shapes(shape(this.node, "g"), "rect");
    shape(this.node, "rect", { x: 0, y: 0, width: 140, height: 140, class: "axis" });
    shape(this.node, "rect", { x: 150, y: 0, width: 14, height: 140, class: "axis" });
    shape(this.node, "text", { x: 70, y: 154, "text-anchor": "middle", text: "WᵀW" });
    shape(this.node, "text", { x: 157, y: 154, "text-anchor": "middle", text: "b" });
  }

  draw(A, b) {
    const n = b.length, side = 140 / n;
    this.cells(n * n, (p) => ({
      x: (p % n) * side, y: Math.floor(p / n) * side, width: side, height: side, ...signed(A[p]),
    }));
    this.biases(n, (i) => ({ x: 150, y: i * side, width: 14, height: side, ...signed(b[i]) }));
  }
}

/** A bar for each feature, from 0 to `most`, with named lines across. */
class Bars {
  constructor(label, { most = 1, lines = [], height = 158 } = {}) {
    Object.assign(this, { most, lines, height, width: 240 });
    this.node = drawing(this.width, height, label);
    this.guides = shapes(shape(this.node, "g"), "line");
    this.levels = shapes(shape(this.node, "g"), "text");
    this.bars = shapes(shape(this.node, "g"), "rect");
    this.ticks = shapes(shape(this.node, "g"), "line");
    this.names = shapes(shape(this.node, "g"), "text");
    shape(this.node, "path", { class: "axis", d: `M22 0V${height - 18}` });
    this.frame();
    fluid(this);
  }

  /** What does not change while the values do. */
  frame() {
    const { height, lines } = this, x = (k) => this.across(lines[k][0]);
    this.guides(lines.length, (k) => ({ class: "guide", x1: x(k), x2: x(k), y1: 0, y2: height - 18 }));
    this.levels(lines.length, (k) => ({
      x: x(k), y: height - 4, "text-anchor": lines[k][2] ?? "middle", text: lines[k][1],
    }));
  }

  across(value) {
    return 22 + (Math.max(0, Math.min(1.06, value / this.most)) * (this.width - 26)) / 1.06;
  }

  /** Bars of these values; `ticks` are short marks, one a feature. */
  draw(values, colors, ticks = []) {
    this.last = [values, colors, ticks];
    const n = values.length, step = (this.height - 20) / n;
    this.bars(n, (i) => ({
      x: 22, y: (i + 0.12) * step, height: 0.76 * step, width: this.across(values[i]) - 22, fill: colors[i],
    }));
    this.ticks(ticks.length, (i) => ({
      x1: this.across(ticks[i]), x2: this.across(ticks[i]), y1: i * step, y2: (i + 1) * step,
      stroke: "var(--ink)", "stroke-width": 2,
    }));
    this.names(n, (i) => ({
      x: 16, y: (i + 0.5) * step + 4, "text-anchor": "end", text: n <= 12 || i % 2 === 0 ? i : "",
    }));
  }
}

/** Curves on a log axis: one a restart. */
class Curves {
  constructor(label, { height = 200 } = {}) {
    Object.assign(this, { height, width: 300 });
    this.node = drawing(this.width, height, label);
    this.grid = shapes(shape(this.node, "g"), "line");
    this.marks = shapes(shape(this.node, "g"), "text");
    this.paths = shapes(shape(this.node, "g"), "path");
    this.axis = shape(this.node, "path", { class: "axis" });
    this.end = shape(this.node, "text", { y: height - 4, "text-anchor": "end" });
    this.frame();
    fluid(this);
  }

  frame() {
    change(this.axis, { d: `M44 0V${this.height - 18}H${this.width}` });
    change(this.end, { x: this.width });
  }

  /** Draw `series`, arrays of losses on steps 1 .. steps; `strokes` has attributes for each. */
  draw(series, steps, strokes) {
    this.last = [series, steps, strokes];
    const { width, height } = this, bottom = height - 18, seen = series.map((losses) => thinned(losses, 150));
    const all = seen.flat().map(([, loss]) => loss).filter((loss) => loss > 0 && Number.isFinite(loss));
    const low = Math.log10(Math.min(...all, 1)) - 0.05, high = Math.log10(Math.max(...all, 1e-12)) + 0.05;
    const y = (loss) => bottom * (1 - (Math.log10(Math.max(loss, 1e-12)) - low) / Math.max(high - low, 0.1));
    const x = (t) => 44 + ((width - 44) * t) / steps, values = all.length ? decades(low, high) : [];
    this.grid(values.length, (k) => ({ class: "guide", x1: 44, x2: width, y1: y(values[k]), y2: y(values[k]) }));
    this.marks(values.length, (k) => ({ x: 38, y: y(values[k]) + 4, "text-anchor": "end", text: short(values[k]) }));
    this.paths(seen.length, (k) => ({
      fill: "none", "stroke-linejoin": "round", ...strokes(k),
      d: seen[k].map(([t, loss], p) => `${p ? "L" : "M"}${x(t).toFixed(1)} ${y(loss).toFixed(1)}`).join(""),
    }));
    change(this.end, { text: `step ${steps.toLocaleString("en")}` });
  }
}

/** About `count` pairs [step, mean of the losses around it]. */
function thinned(losses, count) {
  const size = Math.max(1, Math.ceil(losses.length / count)), points = [];
  for (let first = 0; first < losses.length; first += size) {
    const part = losses.slice(first, first + size);
    points.push([first + part.length / 2, part.reduce((sum, loss) => sum + loss, 0) / part.length]);
  }
  return points;
}

/** Round values on a log axis: 1, 2, 5 of each decade, or its powers of ten alone where there are many. */
function decades(low, high) {
  const values = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const factor of high - low > 1.5 ? [1] : [1, 2, 5]) values.push(factor * 10 ** power);
  }
  return values.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
}

function short(value) {
  return value < 1e-3 ? value.toExponential(0).replace("-", "−") : String(Number(value.toPrecision(1)));
}

/** A bar for each feature to either side of 0, on -1 .. 1. */
class SignedBars {
  constructor(label) {
    Object.assign(this, { width: 168, height: 158 });
    this.node = drawing(168, 158, label);
    this.bars = shapes(shape(this.node, "g"), "rect");
    this.axis = shape(this.node, "path", { class: "axis" });
    this.zero = shape(this.node, "text", { y: 154, "text-anchor": "middle", text: "0" });
    this.frame();
    fluid(this);
  }

  frame() {
    change(this.axis, { d: `M${this.width / 2} 0V140M0 140H${this.width}` });
    change(this.zero, { x: this.width / 2 });
  }

  draw(values, colors) {
    this.last = [values, colors];
    const step = 140 / values.length, middle = this.width / 2;
    this.bars(values.length, (i) => {
      const width = (middle - 2) * Math.min(1, Math.abs(values[i]));
      const x = middle - (values[i] < 0 ? width : 0);
      return { x, y: (i + 0.12) * step, width, height: 0.76 * step, fill: colors[i] };
    });
  }
}
