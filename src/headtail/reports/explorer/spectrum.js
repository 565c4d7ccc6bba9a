// The spectrum: how strong each direction of the scores is, how much of it is popularity, and the items at its ends.
import { button, h, replaced, sortable, written } from "./dom.js";
import { bars } from "./charts.js";
import { titled } from "./lists.js";
import { pick, state } from "./state.js";

export function spectrumTab(data) {
  const { spectrum } = data, n = spectrum.sigma.length, [, , width] = spectrum.ends.shape;
  const ids = spectrum.sigma.map((_, i) => String(i + 1));
  const digits = Math.max(0, 3 - Math.floor(Math.log10(spectrum.sigma[0] || 1)));
  const charts = h("div", { class: "hx-columns" }), detail = h("section", { class: "hx-detail", "aria-live": "polite" }), table = h("div", {});
  const tab = h("div", {},
    h("p", { class: "hx-quiet" }, `The scores are a sum of ${spectrum.rank} directions; the first ${n} are here, of the recommender as it is. Energy is a direction's share of all squared scores. `,
      "Alignment is the cosine between a direction and the popularity of the items: near 1, it ranks items by popularity and nothing else."),
    charts, h("div", { class: "hx-split" }, table, detail));
  const end = (title, k, side) => h("section", {}, h("h3", {}, title), h("ol", { class: "hx-list" }, Array.from({ length: width }, (_, j) => {
    const place = (k * 2 + side) * width + j, item = spectrum.ends[place];
    return h("li", {}, h("span", { class: "hx-what" }, titled(data, item)), h("span", { class: "hx-quiet" }, written(spectrum.loadings[place], "+.3f")));
  })));
  const draw = () => {
    const half = charts.clientWidth > 700 ? (charts.clientWidth - 32) / 2 : charts.clientWidth || 600;
    const options = { width: Math.max(280, half), current: state.direction, act: (direction) => pick({ direction }), ids };
    replaced(charts, bars(spectrum.energy, { ...options, label: "energy", color: "var(--ht-c1)", format: ".3g%" }),
      spectrum.alignment ? bars(spectrum.alignment, { ...options, label: "alignment with popularity", color: "var(--ht-head)" }) : "");
  };
  const show = (changes) => {
    const k = Math.min(state.direction, n - 1);
    draw();
    const columns = [{ label: "Direction", number: true }, { label: "Singular value", number: true }, { label: "Energy", number: true }, ...(spectrum.alignment ? [{ label: "Alignment", number: true }] : [])];
    replaced(table, sortable(columns, {}, null, ids.map((id, i) => h("tr", { class: i === k && "hx-picked" },
      h("td", { class: "ht-number" }, button(id, () => pick({ direction: i }), { class: "hx-plain", "data-key": `direction ${id}`, "aria-pressed": String(i === k) })),
      h("td", { class: "ht-number" }, written(spectrum.sigma[i], `,.${digits}f`)), h("td", { class: "ht-number" }, written(spectrum.energy[i], ".1%")),
      spectrum.alignment && h("td", { class: "ht-number" }, written(spectrum.alignment[i], ".3f")))), "Directions"));
    replaced(detail, h("h2", {}, `Direction ${k + 1}`), h("div", { class: "hx-halves" }, end("One end", k, 0), end("The other end", k, 1)));
    if (changes?.includes("direction")) detail.scrollIntoView({ block: "nearest" });
  };
  new ResizeObserver(() => { if (state.tab === "spectrum") draw(); }).observe(tab);
  return { tab, show };
}
