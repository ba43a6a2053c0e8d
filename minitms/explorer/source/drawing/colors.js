// Colours: of importance, as in the package's plots, and of phase diagrams, as in the paper.

// More important is further from the background. All stops are told apart in the common forms of colour blindness.
const IMPORTANCE_STOPS = {
  light: [[225, 130, 30], [204, 71, 120], [126, 3, 168], [30, 10, 120]],
  dark: [[150, 95, 200], [225, 100, 130], [250, 160, 70], [250, 235, 110]],
};

function between(one, other, share) {
  return one.map((value, channel) => value + (other[channel] - value) * share);
}

function css(color) {
  return `rgb(${color.map(Math.round).join(",")})`;
}

/** A colour for each importance, between the least and the largest. */
function importanceColors(importance) {
  const stops = IMPORTANCE_STOPS[darkness.matches ? "dark" : "light"];
  const least = Math.min(...importance), most = Math.max(...importance);
  return Array.from(importance, (value) => {
    const place = (most > least ? (value - least) / (most - least) : 1) * (stops.length - 1);
    const stop = Math.min(Math.floor(place), stops.length - 2);
    return css(between(stops[stop], stops[stop + 1], place - stop));
  });
}

/** Entry of a list of colours: what the colour of a feature says. */
function importanceEntry(importance) {
  const colors = importanceColors(importance), stops = IMPORTANCE_STOPS[darkness.matches ? "dark" : "light"];
  if (new Set(colors).size === 1) return [colors[0], "features, all of the same importance"];
  const scale = `linear-gradient(90deg, ${stops.map(css).reverse().join(",")})`;
  return [scale, "features, from the most important to the least"];
}

const LOST = [217, 217, 217], ALONE = [33, 102, 172], PAIR = [196, 52, 47], MIXED = [224, 161, 0];

/** The paper's colour of a cell by the norm and the interference of the extra feature, w₂.
 *
 * Grey: not learned; blue: alone; red: superposed. Two features of one sign are no pair, but a mixture: gold.
 */
function phaseColor(w1, w2) {
  const norm = Math.min(1, Math.abs(w2)), shared = w2 ? Math.min(1, w1 * w1) : 0;
  const color = between(LOST, between(ALONE, PAIR, shared), norm);
  const mixed = w1 * w2 > 0 ? Math.min(1, Math.max(0, (Math.min(Math.abs(w1), Math.abs(w2)) - 0.1) / 0.3)) : 0;
  return between(color, MIXED, mixed);
}

/** Attributes of a cell of a heat map on -1 .. 1: red positive, blue negative. */
function signed(value) {
  return {
    fill: value < 0 ? "var(--negative)" : "var(--positive)", "fill-opacity": Math.min(1, Math.abs(value)),
  };
}
