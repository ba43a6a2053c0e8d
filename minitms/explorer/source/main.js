// The page: its tabs, the one loop that moves whatever moves, and the code for Python.

const numbers = JSON.parse(document.getElementById("numbers").textContent);
const tabs = document.getElementById("tabs"), code = document.getElementById("code");
let moving = false, current = null, carried = null; // carried: the model that one panel hands on to another

/** Ask for frames, until the panel that is shown says that nothing moves any more. */
function wake() {
  if (moving || !current) return;
  moving = true;
  requestAnimationFrame(frame);
}

function frame(now) {
  moving = false;
  if (current.frame(now)) wake();
}

/** What is on the screen has changed. */
function changed() {
  if (current) code.textContent = current.python();
}

const panels = [new TrainPanel(wake, changed), new DragPanel(wake, changed),
  new PhasesPanel(wake, changed, numbers.phases), new GeometryPanel(wake, changed, numbers.geometry)];

for (const panel of panels) {
  panel.tab = element("button", {
    type: "button", role: "tab", id: `tab-${panel.id}`, tabIndex: -1, "aria-controls": panel.id,
    "aria-selected": "false",
  }, panel.title);
  panel.tab.addEventListener("click", () => open(panel));
  tabs.append(panel.tab);
  panel.sheet = element("div", {
    className: "panel", id: panel.id, role: "tabpanel", "aria-labelledby": panel.tab.id, hidden: true,
  }, panel.node);
  document.getElementById("panels").append(panel.sheet);
}

function open(panel) {
  if (panel !== current) {
    carried = current?.give?.() ?? carried;
    if (carried) panel.receive?.(carried);
  }
  for (const one of panels) {
    one.sheet.hidden = one !== panel;
    one.tab.setAttribute("aria-selected", String(one === panel));
    one.tab.tabIndex = one === panel ? 0 : -1;
  }
  current = panel;
  panel.opened?.();
  changed();
  wake();
}

tabs.addEventListener("keydown", (event) => {
  const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key], at = panels.indexOf(current);
  if (!way) return;
  const next = panels[(at + way + panels.length) % panels.length];
  open(next);
  next.tab.focus();
});

// By the old command: the newer way is closed to frames in notebooks. What cannot be copied is ready to be, by hand.
document.getElementById("copy").addEventListener("click", ({ target }) => {
  getSelection().selectAllChildren(code);
  target.textContent = document.execCommand("copy") ? "Copied" : "Selected";
  setTimeout(() => { target.textContent = "Copy"; }, 1500);
});

for (const media of [darkness, stillness]) media.addEventListener("change", () => open(current));
document.body.classList.add("ready");
open(panels.find((panel) => `#${panel.id}` === location.hash) ?? panels[0]);

// For the curious, in the browser's console: the numerics under the names that they have in Python.
window.minitms = {
  SparseFeatures, Training, Adam, modelOf, sizeOf, lossAndGradients, gradientRow, batchKey, uniforms, normals,
  gap, lastWords, cosineRate, dimensionality, featureNorms, interference, gram, expectedAlone, expectedPair, descend,
  expectedIndependent, isExact,
  configurationLosses, boundaryDensity, classify, arrangement, companions, polytopeName,
  featurePolytopes, widest,
  panels: Object.fromEntries(panels.map((panel) => [panel.id, panel])),
};
