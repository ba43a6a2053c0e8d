// Panel "Geometry": the share D_i of a dimension that each of many features has, and the polytope it is a corner of.

const UNSEEN = "too short"; // the colour of a feature that is not represented
const KINDS = [...Object.keys(SHAPES), OTHER, UNSEEN];
const LEVELS = [[1, "1"], [3 / 4, "3/4"], [2 / 3, "2/3"], [1 / 2, "1/2"], [2 / 5, "2/5"], [3 / 8, "3/8"]]; // of SHAPES
const share = (kind) => LEVELS[Object.keys(SHAPES).indexOf(kind)][1];

/** A kind in the list of colours, with the D of a regular one. */
function kindInWords(kind) {
  if (kind === OTHER) return OTHER;
  if (kind === UNSEEN) return `${UNSEEN}: |W| up to 1/2`;
  return `${kind}${{ single: " (alone)", digon: " (antipodal pair)" }[kind] ?? ""}: ${share(kind)}`;
}

class GeometryPanel {
  id = "geometry";
  title = "Geometry";

  constructor(wake, changed, { densities, steps, W }) {
    Object.assign(this, { wake, changed, steps, turn: 0.4, packed: W });
    this.densities = unpacked(densities);
    [, this.m, this.n] = W.shape;
    this.node = element("section");
    this.status = element("p", { className: "status", role: "status", id: "point-status" });
    this.canvas = element("canvas", {
      tabIndex: 0, role: "application", "aria-describedby": "point-status",
      "aria-label": "Scatter of the share of a dimension that each feature has, over 1 / (1 − S)",
    });
    this.solid = new Solid();
    this.still = element("input", { type: "checkbox", checked: !stillness.matches });
    this.still.addEventListener("change", () => this.wake());
    this.node.append(
      element("p", {}, `Models of ${this.n} features in ${this.m} dimensions, one a density. Each dot is a feature, `,
        "as high as its share D of a dimension. Press on one, or walk with the arrow keys: left and right between ",
        "densities, up and down between features. Beside it turns the polytope whose corners are that feature and ",
        "those it is linked to."),
      element("ul", { className: "key" }, element("li", {}, "Polytopes, and D (dashed) of regular ones:"),
        ...keyEntries(KINDS.map((kind) => [`var(--${kind.replace(" ", "-")})`, kindInWords(kind)]))),
      element("div", { className: "wide" },
        card(null, this.canvas),
        element("div", { className: "column" },
          card(null, this.status, this.solid.node, element("ul", { className: "key" }, ...keyEntries([
            ["var(--accent)", "the feature"], ["var(--ink)", "those it is linked to"],
            [null, "to the middle: their directions; between them: the shortest edges"]])),
          element("label", { className: "hint" }, this.still, " turning")))),
      hint("Linked, along a path: |Wᵢ · Wⱼ| above 0.2, both longer than 1/2. A polytope is named by these products: ",
        "divided by the mean of |Wᵢ|², each is within 0.1 of that of the regular one. Then D is near dimensions / ",
        "features. Of more than three dimensions the three widest are drawn."),
    );
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    this.solid.node.addEventListener("pointermove", (event) => {
      if (event.buttons) { this.turn += event.movementX / 100; this.draw(); }
    });
    addEventListener("resize", () => { if (this.models && !this.node.parentElement?.hidden) this.scatter(); });
  }

  /** Measure all models, when the panel is first opened. */
  opened() {
    if (!this.models) {
      const all = unpacked(this.packed), size = this.m * this.n;
      this.models = Array.from(this.densities, (_, d) => {
        const W = all.subarray(d * size, (d + 1) * size), A = gram(W, this.n), D = dimensionality(W, this.n, A);
        const order = [...D.keys()].sort((a, b) => D[a] - D[b]);
        const kinds = featurePolytopes(A, this.n).map((name) => name || UNSEEN);
        return { W, A, D, kinds, order };
      });
      const start = this.models.findIndex(({ kinds }) => kinds.includes("pentagon"));
      this.select(start, this.models[start].kinds.indexOf("pentagon"));
    }
    this.scatter();
  }

  /** Where a feature stands in the canvas; at one density, side by side in the order of D. */
  place(d, rank) {
    const { width, height } = this.box, step = (width - 50) / this.densities.length, { D, order } = this.models[d];
    return [42 + (d + 0.1 + (0.8 * rank) / this.n) * step, this.height(D[order[rank]])];
  }

  height(D) {
    return 8 + (this.box.height - 44) * (1 - Math.min(D, 1.05) / 1.05);
  }

  scatter() {
    const { canvas } = this, ratio = devicePixelRatio || 1, style = getComputedStyle(document.documentElement);
    const width = canvas.parentElement.clientWidth - 24, height = Math.max(300, Math.min(440, width * 0.8));
    if (width <= 0) return;
    this.box = { width, height };
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    const pen = canvas.getContext("2d"), color = (name) => style.getPropertyValue(`--${name.replace(" ", "-")}`).trim();
    pen.scale(ratio, ratio);
    pen.font = `12px ${style.fontFamily}`;
    pen.fillStyle = color("soft");
    pen.strokeStyle = color("line");
    for (const [value, text] of LEVELS) {
      const y = this.height(value);
      pen.setLineDash([3, 3]);
      pen.beginPath();
      pen.moveTo(40, y);
      pen.lineTo(width, y);
      pen.stroke();
      pen.textAlign = "right";
      pen.fillText(text, 34, y + (text === "3/8" ? 10 : 4));
    }
    pen.setLineDash([]);
    pen.textAlign = "center";
    for (const value of [1, 2, 3, 5, 10]) {
      const place = (Math.log(value) / Math.log(10)) * (this.densities.length - 1) + 0.5;
      pen.fillText(String(value), 42 + (place * (width - 50)) / this.densities.length, height - 20);
    }
    pen.fillText("1 / (1 − S)", width / 2, height - 4);
    pen.fillText("D", 12, 20);
    this.models.forEach(({ kinds, order }, d) => order.forEach((i, rank) => {
      const [x, y] = this.place(d, rank), small = kinds[i] === UNSEEN ? 1.4 : 2.4;
      pen.fillStyle = color(kinds[i]);
      pen.globalAlpha = kinds[i] === UNSEEN ? 0.55 : 0.9;
      pen.fillRect(x - small, y - small, 2 * small, 2 * small);
    }));
    pen.globalAlpha = 1;
    const [d, i] = this.chosen, [x, y] = this.place(d, this.models[d].order.indexOf(i));
    pen.lineWidth = 3;
    pen.strokeStyle = color("ink");
    pen.beginPath();
    pen.arc(x, y, 8, 0, 2 * Math.PI);
    pen.stroke();
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let nearest = Infinity, found = this.chosen;
    this.models.forEach(({ order }, d) => order.forEach((i, rank) => {
      const [px, py] = this.place(d, rank), away = Math.hypot(px - x, py - y);
      if (away < nearest) [nearest, found] = [away, [d, i]];
    }));
    this.select(...found);
    this.scatter();
  }

  press(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const [d, i] = this.chosen, inside = (value, count) => Math.max(0, Math.min(count - 1, value));
    const density = inside(d + way[0], this.densities.length), step = event.shiftKey ? 10 : 1;
    const rank = inside(this.models[d].order.indexOf(i) + step * way[1], this.n);
    this.select(density, this.models[density].order[rank]);
    this.scatter();
  }

  select(d, i) {
    this.chosen = [d, i];
    const { W, A, D, kinds } = this.models[d], members = companions(A, this.n, i), found = widest(W, this.n, members);
    const length = Math.sqrt(A[i * this.n + i]), corners = members.length, kind = kinds[i];
    const among = `it is one of ${corners} features in ${found.dimensions} dimension${found.dimensions > 1 ? "s" : ""}`;
    const alone = D[i] > 0.9 ? "it stands alone"
      : `no one feature is linked to it, but small overlaps with others take ${percent(1 - D[i])} of its dimension`;
    const what = kind === UNSEEN ? "it is too short to be a corner of anything" : kind === "single" ? alone
      : kind === OTHER ? `${among}, which are none of the polytopes above`
        : `${among}, a ${kind} (D = ${share(kind)} if regular)`;
    this.status.textContent = `Feature ${i} at S = ${readable(1 - this.densities[d])}: D = ${readable(D[i])}, |W| = `
      + `${readable(length)}; ${what}.`;
    this.solid.corners(found.corners, members.indexOf(i));
    this.draw();
    this.wake();
    this.changed();
  }

  draw() {
    this.solid.draw(this.turn);
  }

  frame() {
    if (this.chosen && this.still.checked) {
      this.turn += 0.012;
      this.draw();
    }
    return this.still.checked;
  }

  python() {
    const [d, i] = this.chosen ?? [0, 0];
    return `import numpy as np
import minitms as tms

densities = 1 / np.geomspace(1, 10, ${this.densities.length})
features = tms.SparseFeatures(n=${this.n}, density=densities[:, None])
run = tms.train(features, n_hidden=${this.m}, steps=${this.steps}, restarts=1, seed=0)     # about a minute
W = run.best().W[${d}]                      # density ${readable(this.densities[d])}
print("D of feature ${i}:", tms.dimensionality(W)[${i}].round(3))
clusters = tms.feature_clusters(W)
print("with it:", np.flatnonzero(clusters == clusters[${i}]))
print("name:", tms.feature_polytopes(W)[${i}])`;
  }
}

/** A turning solid: its corners on stalks from the origin, its shortest edges. */
class Solid {
  constructor() {
    this.node = drawing(300, 260, "The polytope, turning");
    this.node.classList.add("drag", "solid");
    this.stalks = shapes(shape(this.node, "g"), "line");
    this.edges = shapes(shape(this.node, "g"), "line");
    this.points = shapes(shape(this.node, "g"), "circle");
  }

  corners(corners, own) {
    this.own = own;
    const size = Math.max(...corners.map((corner) => Math.hypot(...corner)), 1e-9);
    this.at = corners.map((corner) => corner.map((value) => value / size));
    const away = (a, b) => Math.hypot(...this.at[a].map((value, k) => value - this.at[b][k]));
    const pairs = this.at.flatMap((_, a) => this.at.slice(a + 1).map((__, k) => [a, a + 1 + k]));
    const nearest = this.at.map(() => Infinity);
    for (const [a, b] of pairs) {
      nearest[a] = Math.min(nearest[a], away(a, b));
      nearest[b] = Math.min(nearest[b], away(a, b));
    }
    this.links = pairs.filter(([a, b]) => away(a, b) < 1.25 * Math.max(nearest[a], nearest[b]));
    if (corners.length > 12) this.links = []; // a tangle has no edges that one could follow
  }

  draw(turn) {
    const W = Float64Array.from([0, 1, 2].flatMap((axis) => this.at.map((corner) => corner[axis])));
    const ends = projected(W, this.at.length, turn);
    const place = ([x, y]) => [150 + 105 * x, 130 - 105 * y], at = ends.map(place);
    const line = (from, to, stroke, width, opacity) => ({
      x1: from[0], y1: from[1], x2: to[0], y2: to[1], stroke, "stroke-width": width, "stroke-opacity": opacity,
    });
    const color = (k) => (k === this.own ? "var(--accent)" : "var(--ink)");
    this.stalks(at.length, (k) => line([150, 130], at[k], color(k), 2, 0.25 + 0.2 * depth(ends[k][2])));
    this.edges(this.links.length, (p) => {
      const [a, b] = this.links[p];
      return line(at[a], at[b], "var(--soft)", 2, 0.4 + 0.5 * depth((ends[a][2] + ends[b][2]) / 2));
    });
    this.points(at.length, (k) => ({
      cx: at[k][0], cy: at[k][1], r: (at.length > 12 ? 4 : 7) * (1 + 0.2 * ends[k][2]) * (k === this.own ? 1.4 : 1),
      fill: color(k), "fill-opacity": depth(ends[k][2]),
    }));
  }
}
