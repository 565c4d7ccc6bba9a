// The trade-off: every setting as a point, and the words that make one of them again.
import { button, chooser, h, plural, replaced, sortable, written } from "./dom.js";
import { scatter, swatch } from "./charts.js";
import { named } from "./lists.js";
import { pick, state } from "./state.js";

/** The ways to make a setting again: in Python, on the command line, and as data. */
export function recipes(data, setting) {
  const dial = data.dials.find(({ name }) => name === setting.dial);
  const name = JSON.stringify(setting.dial), strength = String(setting.strength);
  const quoted = (word) => (/^[\w./:=,+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  const json = JSON.stringify({ dial: setting.dial, strength: setting.strength, k: data.k, test: Object.fromEntries(
    data.metrics.map((metric) => [metric.name, setting.values[metric.name][0]])) }, null, 2);
  const found = dial.built_in ? `import headtail as ht\n\ndial = ht.dials.dial(${name})\n` : `# dial: the one that you named ${name}\n`;
  const python = `# better: what ht.correct returned\n${found}made = dial.at(better.subject, ${strength})\n`
    + "lists = better.subject.recommend(made, better.subject.split.known)";
  const trained = setting.dial === "ReSN" ? ["train", "INTERACTIONS", "--resn", strength, "-o", "model"] : null;
  const typed = data.typed?.[setting.dial] ?? (dial.built_in ? setting.dial : null);  // or FILE.py:NAME
  const corrected = [...(data.command ?? ["correct", "MODEL"]), "--dial", typed, "--strength", strength, "-o", "copied"];
  const words = typed === null ? null : dial.works_on === "training" ? trained : corrected;
  return { Python: python, "Command line": words && ["headtail", ...words].map(quoted).join(" "), JSON: json };
}

/** The dials to begin with, where there are many: what was chosen, the recommender as it is, and the best of each kind. */
function worth(data, facts) {
  const swept = data.dials.filter(({ settings }) => settings.length > 1);
  if (swept.length <= 4) return new Set(swept.map(({ name }) => name));
  const sign = facts[data.unfairness].better === "higher" ? -1 : 1;
  const reached = ({ chosen }) => sign * chosen.values[data.unfairness][0];
  const best = swept.filter((dial) => !swept.some((other) => other.works_on === dial.works_on && reached(other) < reached(dial)));
  return new Set([data.settings[data.chosen ?? data.plain.index].dial, ...best.map(({ name }) => name)]);
}

async function copied(text, box) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(box);
    document.execCommand("copy");
  }
}

export function tradeoffTab(data) {
  let axes = { x: data.unfairness, y: data.accuracy }, sort = { key: "", down: false };
  const facts = Object.fromEntries(data.metrics.map((metric) => [metric.name, metric]));
  // References such as random lists lie so far off that beside them all else would shrink to a point.
  const shown = worth(data, facts);
  const hidden = new Set(data.dials.filter(({ name, settings }) => !shown.has(name) && !(settings.length === 1 && settings[0].off)).map(({ name }) => name));
  // So does a setting that nobody would take, which the reports leave out of their pictures by the same rule.
  const least = data.kept * data.plain.values[data.accuracy][0];
  const poor = (setting) => !setting.chosen && setting.values[data.accuracy][0] < least;
  let whole = false;
  const plot = h("div", { class: "hx-plot" }), tip = h("div", { class: "hx-tip", hidden: true, "aria-hidden": "true" });
  const legend = h("div", { class: "hx-legend", role: "group", "aria-label": "Shown dials" });
  const table = h("div", {}), copy = h("section", { class: "hx-copy", "aria-labelledby": "copy" });
  const names = data.metrics.map(({ name, title }) => [name, title === name ? name : `${title} (${name})`]);
  const every = h("details", { class: "ht-data hx-every", ontoggle: () => drawTable() }, h("summary", {}, `All ${data.settings.length} settings as a table`), table);
  const tab = h("div", {},
    h("div", { class: "hx-bar" },
      chooser("Upright", names, axes.y, (y) => { axes = { ...axes, y }; draw(); }),
      chooser("Across", names, axes.x, (x) => { axes = { ...axes, x }; draw(); })),
    legend, h("div", { class: "hx-holder" }, plot, tip),
    h("p", { class: "hx-quiet" }, "Every point is one setting, measured on the test. A ring marks what validation chooses of each dial, ",
      `which may lose at most ${written(data.max_loss, ".3g%")} of ${data.accuracy} there${data.spare}. Click a point to take it.`),
    copy, every);

  const tell = (point, event) => {
    tip.hidden = !point;
    if (!point) return;
    tip.replaceChildren(h("b", {}, named(data.settings[point.key])), h("br"), `${facts[axes.y].title} ${written(point.y, facts[axes.y].format)}`, h("br"),
      `${facts[axes.x].title} ${written(point.x, facts[axes.x].format)}`);
    const box = plot.parentElement.getBoundingClientRect(), at = event.currentTarget.getBoundingClientRect();
    const x = at.left + at.width / 2 - box.left;
    tip.style.left = `${Math.min(Math.max(x, 90), box.width - 90)}px`;
    tip.style.top = `${at.top - box.top - 8}px`;
  };

  const draw = () => {
    const series = data.dials.filter(({ name }) => !hidden.has(name)).map((dial) => ({ name: dial.name, look: dial.look,
      points: dial.settings.filter((setting) => whole || !poor(setting) || setting.index === state.setting).map((setting) => {
        const [y, low, high] = setting.values[axes.y];
        return { x: setting.values[axes.x][0], y, low, high, mark: setting.chosen, key: setting.index };
      }) }));
    const axisOf = (name) => facts[name].title + ({ higher: " (higher is better)", lower: " (lower is better)" }[facts[name].better] ?? "");
    plot.replaceChildren(scatter(series, { xLabel: axisOf(axes.x), yLabel: axisOf(axes.y), xFormat: facts[axes.x].format,
      yFormat: facts[axes.y].format, width: Math.max(300, Math.min(plot.clientWidth || 900, 1000)), current: state.setting,
      act: (setting) => pick({ setting }), tell, title: `${facts[axes.y].title} against ${facts[axes.x].title} of every setting; the table of all settings has the same` }));
    tip.hidden = true;
  };

  const drawLegend = () => {
    const left = whole ? 0 : data.settings.filter((setting) => poor(setting) && !hidden.has(setting.dial)).length;
    replaced(legend, ...data.dials.map((dial) => button([swatch(dial.look), dial.name], () => {
      if (!hidden.delete(dial.name) && hidden.size < data.dials.length - 1) hidden.add(dial.name);
      drawLegend();
      draw();
    }, { "aria-pressed": String(!hidden.has(dial.name)), "data-key": dial.name })),
    hidden.size > 0 ? button("Show all", () => { hidden.clear(); drawLegend(); draw(); }, { class: "hx-plain" }) : "",
    left ? button(`Show ${plural(left, "setting")} of less than ${written(data.kept, ".0%")} of the accuracy`,
      () => { whole = true; drawLegend(); draw(); }, { class: "hx-plain" }) : "");
  };

  const drawCopy = () => {
    const setting = data.settings[state.setting];
    if (setting.off || setting.alone) {
      replaced(copy, h("h2", { id: "copy" }, "Copy this setting"), h("p", { class: "hx-quiet" }, `This is ${setting.off ? "the recommender as it is" : setting.dial}. Turn a dial, or click a point.`));
      return;
    }
    replaced(copy, h("h2", { id: "copy" }, `Copy this setting: ${named(setting)}`),
      Object.entries(recipes(data, setting)).filter(([, text]) => text).map(([kind, text]) => {
        const box = h("pre", { tabindex: "0", role: "region", "aria-label": kind }, h("code", {}, text));
        const copyButton = button("Copy", async () => {
          await copied(text, box);
          copyButton.textContent = "Copied";
          setTimeout(() => { copyButton.textContent = "Copy"; }, 1500);
        }, { "aria-label": `Copy ${kind}`, "data-key": kind });
        return h("div", { class: "hx-recipe" }, h("div", { class: "hx-recipe-head" }, h("h3", {}, kind), copyButton), box);
      }).reduce((whole, one) => (whole.append(one), whole), h("div", { class: "hx-recipes" })));
  };

  const drawTable = () => {
    if (!every.open) return;
    const value = (setting) => (sort.key === "dial" ? setting.dial : setting.values[sort.key]?.[0] ?? Infinity);
    const rows = [...data.settings];
    if (sort.key) rows.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (sort.down ? -1 : 1));
    const columns = [{ key: "dial", label: "Dial" }, { label: "Strength", number: true }, { label: "On validation" },
      ...data.metrics.map(({ name }) => ({ key: name, label: name, number: true }))];
    replaced(table, sortable(columns, sort, (to) => { sort = to; drawTable(); }, rows.map((setting) => h("tr", { class: setting.index === state.setting && "hx-picked" },
      h("td", {}, button(setting.dial, () => pick({ setting: setting.index }), { class: "hx-plain", "data-key": String(setting.index),
        "aria-pressed": String(setting.index === state.setting) })),
      h("td", { class: "ht-number" }, written(setting.strength, "g")), h("td", {}, setting.chosen ? "chosen" : ""),
      data.metrics.map(({ name, format }) => h("td", { class: "ht-number" }, written(setting.values[name][0], format))))), "All settings, on the test"));
  };

  const show = (changes) => {
    const unseen = hidden.delete(data.settings[state.setting].dial);
    draw();
    drawCopy();
    drawTable();
    if (!changes || !changes.includes("setting") || unseen) drawLegend();
  };
  new ResizeObserver(() => { if (state.tab === "tradeoff") draw(); }).observe(tab);
  return { tab, show };
}
