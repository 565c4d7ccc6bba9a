// The page: tabs, and what is beside them.
import { load } from "./data.js";
import { button, h } from "./dom.js";
import { itemsTab } from "./items.js";
import { dialPanel, figurePanel, listsTab } from "./lists.js";
import { neuronsTab } from "./neurons.js";
import { spectrumTab } from "./spectrum.js";
import { pick, restore, state, watch } from "./state.js";
import { tradeoffTab } from "./tradeoff.js";

const place = document.getElementById("explorer");

function build(data) {
  const made = { lists: ["Lists", listsTab], tradeoff: ["Trade-off", tradeoffTab], items: ["Items", itemsTab],
    ...(data.neurons && { neurons: ["Neurons", neuronsTab] }), ...(data.spectrum && { spectrum: ["Spectrum", spectrumTab] }) };
  const names = Object.keys(made);
  Object.assign(state, { setting: data.chosen ?? data.plain.index, user: data.users.ids.length >> 1 });
  restore({ user: data.users.ids.length, setting: data.settings.length, item: data.items.ids.length,
    neuron: data.neurons?.index.length ?? 0, direction: data.spectrum?.sigma.length ?? 0 }, names);
  const dials = dialPanel(data), figures = figurePanel(data);
  const tabs = Object.fromEntries(names.map((name) => [name, made[name][1](data)]));
  const heads = names.map((name) => button(made[name][0], () => pick({ tab: name }), { role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}` }));
  const panels = names.map((name) => h("section", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, class: "hx-panel" }, tabs[name].tab));
  const strip = h("div", { role: "tablist", "aria-label": "Views", class: "hx-tabs", onkeydown: (event) => {
    const here = names.indexOf(state.tab), to = { ArrowRight: here + 1, ArrowLeft: here - 1 + names.length, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    const next = to % names.length;
    pick({ tab: names[next] });
    heads[next].focus();
    event.preventDefault();
  } }, heads);
  const side = h("aside", { class: "hx-side", "aria-label": "Setting" }, figures.place, dials.panel);
  place.replaceChildren(strip, h("div", { class: "hx-body" }, side, h("div", { class: "hx-main" }, panels)));
  const stale = new Set(names);
  const show = (changes) => {
    if (!changes || changes.includes("setting")) {
      dials.show();
      figures.show();
    }
    if (!changes || changes.some((name) => name !== "tab")) names.forEach((name) => stale.add(name));
    // What had the focus and is hidden now gives it to the tab that is shown.
    const lost = panels.some((panel, i) => names[i] !== state.tab && panel.contains(document.activeElement));
    side.hidden = ["neurons", "spectrum"].includes(state.tab);
    names.forEach((name, i) => {
      const on = name === state.tab;
      heads[i].setAttribute("aria-selected", String(on));
      heads[i].tabIndex = on ? 0 : -1;
      panels[i].hidden = !on;
    });
    if (lost) heads[names.indexOf(state.tab)].focus();
    if (stale.delete(state.tab)) tabs[state.tab].show(changes);
  };
  watch(show);
  show();
}

try {
  const data = await load(document.getElementById("data").textContent);
  document.getElementById("verdict").textContent = data.verdict.replace(/(?<![\w-])-(?=\d)/g, "−");
  build(data);
} catch (error) {
  place.replaceChildren(h("p", {}, `The page could not be built: ${error.message}. It needs a browser of 2023 or later.`));
  throw error;
} finally {
  place.removeAttribute("aria-busy");
}
