// Panel "Phase diagram": one neuron, two features. Four maps over importance and density, and the models behind a cell.

const MAPS = [
  ["theory", "Theory", "the best of three answers made by hand"],
  ["exact", "The true diagram", "the least exact loss over all W and b"],
  ["trained", "A million trained models", "the best of ten in each cell"],
  ["slip", "Trained with the earlier slip", "the best of ten in each cell"],
];
const NAMES = {
  first: "keeps the first", extra: "keeps the extra one", superposed: "antipodal pair", neither: "neither",
};

class PhasesPanel {
  id = "phases";
  title = "Phase diagram";

  constructor(wake, changed, numbers) {
    Object.assign(this, { wake, changed });
    this.maps = {};
    for (const [name, array] of Object.entries(numbers)) this[name] = unpacked(array);
    this.rows = this.densities.length;
    this.columns = this.importances.length;
    this.cell = [this.nearest(this.densities, 0.6), this.nearest(this.importances, 0.85)];
    this.node = element("section");
    this.status = element("p", { className: "status", role: "status", id: "cell-status" });
    this.picture = new Neuron();
    this.table = element("table");
    this.node.append(
      element("p", {}, "One hidden dimension, two features of importance 1 and r, both with density 1 − S. What ",
        "becomes of the second, the extra one? Press on a cell, or focus a map and walk with the arrow keys (Shift: ",
        "ten cells)."),
      this.legend(),
      element("div", { className: "wide late" },
        element("div", { className: "maps" }, ...MAPS.map((map) => this.map(...map))),
        element("div", { className: "column" },
          card(null, this.status, this.picture.node,
            hint("The model of least exact loss: its two weights as arrows.")),
          element("div", { className: "card scroll", tabIndex: 0, role: "region", "aria-label": "Models of the cell" },
            this.table),
          hint("+ %: how far a loss is above the least exact one. By hand: theory's three answers. Downhill: where ",
            "each leads on the exact loss, moved a little first; that is its branch. Of the trained models the ",
            "package keeps W; b is the best for it. The slip: an earlier replication ",
            "(zroe1/toy-models-of-superposition, 2023) gave both features one on/off bit, by broadcasting. The map ",
            "shows models trained so, with its settings; they, and the least exact loss of such data, are judged on ",
            "it. Features that are always on together are best kept as one, as by PCA."))),
    );
    this.select(...this.cell);
  }

  nearest(values, value) {
    const away = (k) => Math.abs(Math.log(values[k] / value));
    return values.reduce((best, _, k) => (away(k) < away(best) ? k : best), 0);
  }

  legend() {
    return element("ul", { className: "key" }, ...keyEntries([
      ["var(--lost)", "extra feature lost"], ["var(--alone)", "extra feature alone"],
      ["var(--pair)", "both, as an antipodal pair"], ["var(--mixed)", "both as one, mixed"],
      [null, "shades: in between; dashed: theory's boundaries; cross: the cell that is shown"]]));
  }

  /** The model (w₁, w₂, b₁, b₂) of a cell in a map. */
  model(name, row, column) {
    const s = this.densities[row], r = this.importances[column], place = row * this.columns + column;
    if (name === "theory") return configurationModel(this.predicted(s, r), s);
    const size = this[name].shape[2];
    return Array.from(this[name].subarray(place * size, (place + 1) * size));
  }

  predicted(s, r) {
    const losses = configurationLosses(s, r);
    return CONFIGURATIONS.reduce((best, name) => (losses[name] < losses[best] ? name : best));
  }

  map(name, title, text) {
    const { rows, columns } = this, canvas = element("canvas", { width: columns, height: rows });
    const image = new ImageData(columns, rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const [w1, w2] = this.model(name, row, column), color = phaseColor(w1, w2);
        image.data.set([...color.map(Math.round), 255], 4 * ((rows - 1 - row) * columns + column)); // density 1 on top
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    const holder = element("div", {
      className: "map", tabIndex: 0, role: "application", "aria-label": `Map: ${title}, ${text}`,
      "aria-describedby": "cell-status",
    });
    const svg = drawing(columns, rows, "");
    change(svg, { viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    shape(svg, "path", {
      d: this.boundaries(), fill: "none", stroke: "#000", "stroke-dasharray": "5 4", "stroke-width": 1.5,
    });
    const cross = [shape(svg, "path", { fill: "none", stroke: "#fff", "stroke-width": 4 }),
      shape(svg, "path", { fill: "none", stroke: "#000", "stroke-width": 2 })];
    holder.append(canvas, svg);
    this.maps[name] = { holder, cross };
    holder.addEventListener("pointerdown", (event) => this.point(event, holder));
    holder.addEventListener("pointermove", (event) => { if (event.buttons) this.point(event, holder); });
    holder.addEventListener("keydown", (event) => this.press(event));
    return element("figure", {}, element("figcaption", {}, element("b", {}, title), ` ${text}`), axes(holder));
  }

  /** Theory's boundaries as a path in cells. */
  boundaries() {
    const place = (axis, value) => { // in cells along an axis, which is even in logs
      const last = axis.length - 1;
      return (Math.log(value / axis[0]) / Math.log(axis[last] / axis[0])) * last + 0.5;
    };
    const across = (r) => place(this.importances, r).toFixed(2);
    const at = (r, s) => `${across(r)} ${(this.rows - place(this.densities, s)).toFixed(2)}`;
    const line = Array.from({ length: 81 }, (_, k) => 10 ** (k / 40 - 1)).map((r) => at(r, boundaryDensity(r)));
    return `M${line.join("L")}M${at(1, 4 / 7)}V0`;
  }

  point(event, holder) {
    const box = holder.getBoundingClientRect();
    const inside = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value * count)));
    this.select(this.rows - 1 - inside((event.clientY - box.top) / box.height, this.rows),
      inside((event.clientX - box.left) / box.width, this.columns));
  }

  press(event) {
    const step = event.shiftKey ? 10 : 1;
    const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
    if (!way) return;
    event.preventDefault();
    const inside = (value, count) => Math.max(0, Math.min(count - 1, value));
    this.select(inside(this.cell[0] + step * way[0], this.rows), inside(this.cell[1] + step * way[1], this.columns));
  }

  select(row, column) {
    this.cell = [row, column];
    const y = this.rows - 0.5 - row, x = column + 0.5, size = 4;
    for (const { cross } of Object.values(this.maps)) {
      for (const path of cross) change(path, { d: `M${x - size} ${y}H${x + size}M${x} ${y - size}V${y + size}` });
    }
    this.show();
    this.changed();
  }

  /** The models of the cell: theory's answers, where they lead downhill, and the models of the other maps. */
  models() {
    const [row, column] = this.cell, s = this.densities[row], r = this.importances[column];
    const losses = configurationLosses(s, r), loss = (x) => expectedPair(x, s, r);
    const exact = this.model("exact", row, column), least = loss(exact).loss;
    const hand = CONFIGURATIONS.map((name) => ({ name, x: configurationModel(name, s), loss: losses[name] }));
    const branches = CONFIGURATIONS.map((name) => {
      const start = configurationModel(name, s);
      const push = { first: [0, -0.05], extra: [-0.05, 0], superposed: [0, 0] }[name];
      const found = descend(loss, start.map((value, k) => value + (push[k] ?? 0)));
      return { name, x: upright(found.x), loss: found.loss, least: found.loss < least * (1 + 1e-6) };
    });
    const trained = bestBias(this.model("trained", row, column), s, r);
    const [slip, together] = ["slip", "together"].map((name) => {
      const x = this.model(name, row, column);
      return { x, loss: expectedPair(x, s, r, true).loss };
    });
    return { s, r, least, exact, hand, branches, trained: { x: trained, loss: loss(trained).loss }, slip, together };
  }

  show() {
    const found = this.models(), { s, r, least } = found, theory = this.predicted(s, r);
    const on = found.branches.filter((branch) => branch.least).map((branch) => NAMES[branch.name]);
    const branch = on.length === 3 ? "to which all three lead" : on.length ? `on the branch of “${on.join("” and “")}”`
      : "on none of the three branches";
    const below = 100 * Math.max(0, 1 - least / Math.min(...found.hand.map(({ loss }) => loss)));
    this.status.textContent = `r = ${readable(r)}, density ${readable(s)} (S = ${readable(1 - s)}). `
      + `Theory: ${NAMES[theory]}. Least loss ${readable(least, 4)}, ${branch}; ${below.toFixed(1)} % below theory’s.`;
    this.picture.draw(upright(found.exact));
    const row = (name, { x, loss }, to = least, best = false) => {
      const w = upright(x).map(cut), above = Math.max(0, 100 * (loss / to - 1)).toFixed(1);
      const cells = [readable(loss, 4), above, `${w[0]}, ${w[1]}`, `${w[2]}, ${w[3]}`];
      return element("tr", { className: best ? "least" : "" }, element("td", {}, name),
        ...cells.map((text) => element("td", { className: "number" }, text)));
    };
    const group = (text) => element("tr", { className: "group" }, element("th", { colSpan: 5 }, text));
    this.table.replaceChildren(
      element("tr", {}, ...["", "loss", "+ %", "w₁, w₂", "b₁, b₂"].map((text) => element("th", {}, text))),
      group("Theory, by hand"), ...found.hand.map((one) => row(NAMES[one.name], one)),
      group("Downhill from there"), ...found.branches.map((one) => row(NAMES[one.name], one)),
      group("The maps"), row("least exact loss", { x: found.exact, loss: least }, least, true),
      row(`trained: ${told(found.trained.x)}`, found.trained),
      group("On data with the slip"), row("least exact loss", found.together, found.together.loss, true),
      row(`trained: ${told(found.slip.x)}`, found.slip, found.together.loss));
  }

  frame() {
    return false;
  }

  python() {
    const [row, column] = this.cell, s = this.densities[row], r = this.importances[column];
    return `import minitms as tms

diagram = tms.phase_diagram([${s}], [${r}], method="expected", restarts=64, seed=0)
best = diagram.best()                              # W and -W are one model
print("least exact loss:", best.W.squeeze(), best.b.squeeze(), best.loss.squeeze())
print("theory:", diagram.at(${s}, ${r})["theory_losses"])
trained = tms.load_example("phase_changes").W[0, ${9 * row}, ${column}]
print("trained:", trained.squeeze())`;
  }
}

/** The one of W and -W, which are one model, whose larger weight is positive. */
function upright([w1, w2, ...b]) {
  const sign = (Math.abs(w1) >= Math.abs(w2) ? w1 : w2) < 0 ? -1 : 1;
  return [sign * w1, sign * w2, ...b];
}

/** What a neuron does with its two features, in words. */
function told([w1, w2]) {
  return w1 * w2 > 0 && Math.min(Math.abs(w1), Math.abs(w2)) > 0.2 ? "both as one" : NAMES[classify([w1, w2])];
}

/** Weights of a table. */
function cut(value) {
  return (Math.abs(value) < 5e-4 ? 0 : value).toFixed(3).replace("-", "−");
}

/** (w₁, w₂, b₁, b₂) with the b of least exact loss: each output's part depends on its own b alone. */
function bestBias(w, s, r) {
  let b = [0, 0], step = 0.1;
  const loss = (b1, b2) => expectedPair([...w, b1, b2], s, r).loss;
  const scan = Array.from({ length: 31 }, (_, k) => (k - 10) / 20);
  b[0] = scan.reduce((best, value) => (loss(value, 0) < loss(best, 0) ? value : best));
  b[1] = scan.reduce((best, value) => (loss(b[0], value) < loss(b[0], best) ? value : best));
  for (; step > 1e-7; step /= 2) {
    for (const move of [[step, 0], [-step, 0], [0, step], [0, -step]]) {
      while (loss(b[0] + move[0], b[1] + move[1]) < loss(...b)) b = [b[0] + move[0], b[1] + move[1]];
    }
  }
  return [...w, ...b];
}

/** A map with the names of its axes around it. */
function axes(holder) {
  const ticks = (className, texts) => element("div", { className }, ...texts.map((text) => element("span", {}, text)));
  return element("div", { className: "axes" }, ticks("up", ["1", "1 − S", "0.01"]), holder,
    ticks("across", ["0.1", "importance r", "10"]));
}

/** The two features of one neuron on a line, and their biases. */
class Neuron {
  constructor() {
    this.node = drawing(320, 100, "The two weights of the least exact loss on a line");
    this.node.classList.add("line");
    shape(this.node, "path", { class: "axis", d: "M10 62H310M160 54V70M60 58V66M260 58V66" });
    for (const [x, text] of [[60, "−1"], [160, "0"], [260, "1"]]) {
      shape(this.node, "text", { x, y: 92, "text-anchor": "middle", text });
    }
    this.lines = shapes(shape(this.node, "g"), "path");
    this.names = shapes(shape(this.node, "g"), "text");
  }

  draw([w1, w2, b1, b2]) {
    const x = (w) => 160 + 100 * w, colors = ["var(--soft)", "var(--accent)"], rows = [55, 69];
    this.lines(2, (k) => ({
      d: arrowPath([160, rows[k]], [x([w1, w2][k]), rows[k]]), stroke: colors[k], "stroke-width": 3, fill: "none",
      "stroke-linecap": "round",
    }));
    const text = [`first: w₁ = ${cut(w1)}, b₁ = ${cut(b1)}`, `extra: w₂ = ${cut(w2)}, b₂ = ${cut(b2)}`];
    this.names(2, (k) => ({ x: 10, y: k ? 30 : 14, text: text[k], style: `fill: ${colors[k]}` }));
  }
}
