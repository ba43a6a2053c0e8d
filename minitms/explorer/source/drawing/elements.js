// Elements of the page and of its drawings, made and changed.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with properties and children; a property with a dash is an attribute. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** An SVG element inside `parent`. */
function shape(parent, tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  change(made, attributes);
  parent.append(made);
  return made;
}

/** Set attributes; numbers are cut to what can be seen. What stays as it was costs the browser nothing. */
function change(made, attributes) {
  made.known ??= {};
  for (const [name, value] of Object.entries(attributes)) {
    const seen = typeof value === "number" ? Math.round(value * 100) / 100 : value;
    if (made.known[name] === seen) continue;
    made.known[name] = seen;
    if (name === "text") made.textContent = seen;
    else made.setAttribute(name, seen);
  }
}

/** Write a text where it is another one. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** An SVG drawing of this size in its own units, as wide as the page lets it be. */
function drawing(width, height, label) {
  const svg = document.createElementNS(SVG, "svg");
  change(svg, { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  return svg;
}

/** Let a chart take the width that the page gives it, and draw itself again: its letters stay of one size. */
function fluid(chart) {
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width < 1 || contentRect.width === chart.width) return;
    chart.width = contentRect.width;
    change(chart.node, { viewBox: `0 0 ${chart.width} ${chart.height}` });
    chart.frame();
    if (chart.last) chart.draw(...chart.last);
  }).observe(chart.node);
}

/** As many shapes as are asked for, each time it is called: those that exist are changed, not made anew. */
function shapes(parent, tag) {
  const all = [];
  return (count, attributes) => {
    while (all.length < count) all.push(shape(parent, tag));
    while (all.length > count) all.pop().remove();
    all.forEach((one, index) => change(one, attributes(index)));
    return all;
  };
}

/** A slider over `values`, with its label and what it stands at; `tell` says that anew. */
function slider(label, values, start, show, changed) {
  const shown = element("span", { className: "value" });
  const input = element("input", { type: "range", min: 0, max: values.length - 1, step: 1 });
  const value = () => values[Number(input.value)];
  const tell = () => {
    shown.textContent = show(value());
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  const set = (wanted) => {
    input.value = values.indexOf(wanted);
    tell();
  };
  set(start);
  input.addEventListener("input", () => { tell(); changed(); });
  return { node: element("label", {}, element("span", {}, label, shown), input), input, value, set, tell };
}

/** A choice among words; `options` are pairs [value, what to show]. */
function choice(label, options, start, changed) {
  const input = element("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
  input.value = start;
  input.addEventListener("change", changed);
  return {
    node: element("label", {}, element("span", {}, label), input), input,
    value: () => input.value, set: (value) => { input.value = value; },
  };
}

function button(text, pressed, properties = {}) {
  const made = element("button", { type: "button", ...properties }, text);
  made.addEventListener("click", pressed);
  return made;
}

/** A box of the page under a title; what has no title is null. */
function card(title, ...nodes) {
  return element("div", { className: "card" }, ...(title ? [element("h3", {}, title)] : []), ...nodes);
}

function hint(...texts) {
  return element("p", { className: "hint" }, ...texts);
}

/** What colours mean: entries [background or null, words] of a list. */
function keyEntries(entries) {
  return entries.map(([background, text]) => {
    const mark = element("i");
    mark.style.background = background;
    return element("li", {}, ...(background ? [mark] : []), text);
  });
}

/** A number as a person reads it. */
function readable(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return (size && size < 1e-3 ? value.toExponential(digits - 1) : value.toPrecision(digits)).replace("-", "−");
}

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const darkness = matchMedia("(prefers-color-scheme: dark)");
