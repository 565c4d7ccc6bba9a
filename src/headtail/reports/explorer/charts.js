// Charts as SVG, drawn anew at every change; colors are those of the reports.
import { s, written } from "./dom.js";

const MARKERS = { circle: "M5,0A5,5,0,1,1,-5,0A5,5,0,1,1,5,0Z", square: "M-4.5,-4.5H4.5V4.5H-4.5Z",
  "triangle-up": "M0,-5.5L5.5,4.5H-5.5Z", diamond: "M0,-6L6,0L0,6L-6,0Z", "triangle-down": "M0,5.5L5.5,-4.5H-5.5Z",
  cross: "M-5.5,-2H-2V-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5Z", "triangle-left": "M-5.5,0L4.5,-5.5V5.5Z",
  star: "M0,-6L1.7,-2.4L5.7,-1.9L2.9,.9L3.5,4.9L0,3L-3.5,4.9L-2.9,.9L-5.7,-1.9L-1.7,-2.4Z",
  x: "M-5,-2.8L-2.8,-5L0,-2.2L2.8,-5L5,-2.8L2.2,0L5,2.8L2.8,5L0,2.2L-2.8,5L-5,2.8L-2.2,0Z", bar: "M-5.5,-2.2H5.5V2.2H-5.5Z",
  "triangle-right": "M5.5,0L-4.5,-5.5V5.5Z" };

/** The marker of a series, for a legend. */
export function swatch({ color, marker }) {
  return s("svg", { class: "hx-swatch", viewBox: "-6 -6 12 12", "aria-hidden": "true" }, s("path", { d: MARKERS[marker], fill: color }));
}

/** Round numbers between two ends. */
export function ticks(low, high, n) {
  const rough = (high - low) / n || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function ends(values) {
  if (!values.length) return [0, 1];
  const low = Math.min(...values), high = Math.max(...values);
  const margin = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - margin, high + margin];
}

/** Points of several series with lines through them.
 *
 * Each series is { name, look, points: [{ x, y, low, high, mark, key, label }] }; `act` is called with the key of a
 * point. Returns the element.
 */
export function scatter(series, { xLabel, yLabel, xFormat, yFormat, width, current, act, tell, title }) {
  const height = Math.round(Math.min(520, Math.max(300, width * 0.56)));
  const left = 58, right = 14, top = 30, bottom = 48;
  const points = series.flatMap((one) => one.points).filter(({ x, y }) => x !== null && y !== null);
  const [x0, x1] = ends(points.map(({ x }) => x)), [y0, y1] = ends(points.map(({ y }) => y));
  const px = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const py = (y) => height - bottom - ((y - y0) / (y1 - y0)) * (height - top - bottom);
  const upright = ticks(y0, y1, 5), across = ticks(x0, x1, width < 500 ? 4 : 8);
  const grid = [
    ...upright.flatMap((y) => [
      s("line", { class: "hx-grid", x1: left, x2: width - right, y1: py(y), y2: py(y) }),
      s("text", { class: "hx-tick", x: left - 8, y: py(y), dy: "0.32em", "text-anchor": "end" }, tickText(y, yFormat, upright))]),
    ...across.map((x) =>
      s("text", { class: "hx-tick", x: px(x), y: height - bottom + 18, "text-anchor": "middle" }, tickText(x, xFormat, across))),
    s("line", { class: "hx-axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    s("text", { class: "hx-title", x: 0, y: 14 }, yLabel),
    s("text", { class: "hx-title", x: width - right, y: height - 8, "text-anchor": "end" }, xLabel),
  ];
  const drawn = series.map(({ look: { color, marker }, points: own }) => {
    const known = own.filter(({ x, y }) => x !== null && y !== null);
    const at = known.find(({ key }) => key === current);
    return [
      s("path", { class: "hx-line", stroke: color, d: known.map(({ x, y }, i) => `${i ? "L" : "M"}${px(x)},${py(y)}`).join("") }),
      at?.low !== null && at?.low !== undefined &&
        s("line", { class: "hx-whisker", stroke: color, x1: px(at.x), x2: px(at.x), y1: py(Math.max(at.low, y0)), y2: py(Math.min(at.high, y1)) }),
      known.map((point) => s("g", { class: "hx-point", transform: `translate(${px(point.x)},${py(point.y)})`,
        onclick: () => act(point.key), onmouseenter: (event) => tell(point, event), onmouseleave: () => tell(null) },
      s("circle", { class: "hx-target", r: 13 }),
      point.mark && s("circle", { class: "hx-chosen", r: 9, stroke: color }),
      point.key === current && s("circle", { class: "hx-current", r: 12 }),
      s("path", { d: MARKERS[marker], fill: color }))),
    ];
  });
  return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "hx-chart", role: "img", "aria-label": title }, grid, drawn);
}

/** A tick, with as many digits as the finest of its axis has. */
function tickText(value, format, all) {
  const share = format.endsWith("%") ? "%" : "";
  const digits = Math.max(...all.map((one) => {
    const [, , decimals, power] = /^(-?\d)(?:\.(\d+))?e(.+)$/.exec(Number((one * (share ? 100 : 1)).toPrecision(6)).toExponential());
    return Math.max(0, (decimals ?? "").length - power);
  }));
  return written(value, digits > 5 ? `.3g${share}` : `,.${digits}f${share}`);
}

/** Upright bars that can be picked, of values that may be null. */
export function bars(values, { width, height = 170, current, act, label, color, ids, format = ".3g" }) {
  const left = 44, bottom = 22, top = 24;
  const most = Math.max(...values.map((value) => value ?? 0), 1e-12);
  const step = (width - left) / values.length;
  const py = (value) => height - bottom - (value / most) * (height - bottom - top);
  return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "hx-chart", role: "img", "aria-label": label },
    ticks(0, most, 3).map((value) => [
      s("line", { class: "hx-grid", x1: left, x2: width, y1: py(value), y2: py(value) }),
      s("text", { class: "hx-tick", x: left - 6, y: py(value), dy: "0.32em", "text-anchor": "end" }, written(value, format))]),
    s("text", { class: "hx-title", x: 0, y: 12 }, label),
    values.map((value, i) => s("g", { class: "hx-bar", onclick: () => act(i) },
      s("rect", { class: "hx-target", x: left + i * step, y: top, width: step, height: height - top }),
      s("rect", { x: left + i * step + step * 0.14, y: py(value ?? 0), width: step * 0.72, height: Math.max(1, height - bottom - py(value ?? 0)),
        fill: color, class: i === current ? "hx-picked" : "hx-other" }),
      (step > 24 || i % 4 === 0) && s("text", { class: "hx-tick", x: left + (i + 0.5) * step, y: height - 6, "text-anchor": "middle" }, ids[i]))));
}

/** A line without axes: how a number runs over the settings of a dial, with one of them marked. */
export function spark(values, marked, most, color, label) {
  const width = 150, height = 34;
  const px = (i) => 6 + (i / Math.max(values.length - 1, 1)) * (width - 12);
  const py = (value) => height - 6 - (value / (most || 1)) * (height - 12);
  return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label },
    s("line", { class: "hx-grid", x1: 0, x2: width, y1: height - 6, y2: height - 6 }),
    s("path", { class: "hx-line hx-strong", stroke: color, d: values.map((value, i) => `${i ? "L" : "M"}${px(i)},${py(value)}`).join("") }),
    s("circle", { cx: px(marked), cy: py(values[marked]), r: 4, fill: color }));
}
