// The neurons of an autoencoder: what each listens to, and what it does.
import { button, chooser, count, field, h, plainly, plural, replaced, searcher, sortable, written } from "./dom.js";
import { placed, titled, userChooser } from "./lists.js";
import { pick, state } from "./state.js";

const SHOWN = 100;

export function neuronsTab(data) {
  const { neurons } = data, n = neurons.index.length, width = neurons.hears.shape[1];
  const row = (matrix, i) => Array.from(matrix.subarray(i * width, (i + 1) * width)).map((item, j) => [item, i * width + j]).filter(([item]) => item < data.items.ids.length);
  const otherWay = (i) => neurons.effect[i] * neurons.d[i] < 0;
  const tags = (i) => [neurons.d[i] > 0 ? "popularity" : "niche", ...(Math.sign(neurons.low[i]) !== Math.sign(neurons.high[i]) ? ["unsure"] : []),
    ...(otherWay(i) ? ["pushes the other way"] : []), ...neurons.tags[i]];
  const texts = Array.from({ length: n }, (_, i) => plainly([`neuron ${neurons.index[i]}`, ...tags(i), ...[neurons.hears, neurons.raises, neurons.lowers]
    .flatMap((matrix) => row(matrix, i).map(([item]) => data.items.titles[item]))].join("\n")));
  const tagged = neurons.tags.some((some) => some.length);
  const places = new Map(neurons.index.map((neuron, i) => [neuron, i]));
  let wanted = "", tag = "", sort = { key: "d", down: true }, picked = 0;
  const said = h("p", { class: "hx-quiet", role: "status" }), table = h("div", {}), detail = h("section", { class: "hx-detail", "aria-live": "polite" });
  const kinds = [["", "all"], ["popularity", "popularity"], ["niche", "niche"], ["unsure", "unsure"], ["pushes the other way", "pushes the other way"],
    ...[...new Set(neurons.tags.flat())].sort().map((name) => [name, name])];
  const tab = h("div", {},
    h("div", { class: "hx-bar" }, searcher("Search by title, number or tag", (text) => { wanted = plainly(text.trim()); show(); }), chooser("Tag", kinds, tag, (name) => { tag = name; show(); })),
    said, h("div", { class: "hx-split" }, table, detail));

  // Of the strongest neurons the lists are here, turned up and down: (neuron, push, user, place).
  const { pushes } = neurons, off = data.plain.row ?? 0, [, , nUsers, k] = neurons.turned.shape;
  const turning = h("section", {}), users = userChooser(data), push = h("input", { type: "range", min: 0, max: pushes.length, step: 1 });
  const strengths = [...pushes, 0].sort((a, b) => a - b), inked = h("output", {}), entered = h("ul", { class: "hx-list" }), gone = h("ul", { class: "hx-list" });
  const enteredTitle = h("h3", {}), goneTitle = h("h3", {});
  const tally = h("p", { class: "hx-quiet", role: "status" });
  const turnedList = (i, strength, user) => {
    if (!strength) return data.list(off, user);
    const start = ((i * pushes.length + pushes.indexOf(strength)) * nUsers + user) * k;
    return Array.from(neurons.turned.subarray(start, start + k)).filter((item) => item < data.items.ids.length);
  };
  push.value = strengths.indexOf(0);
  push.addEventListener("input", () => turn());
  turning.append(h("h3", {}, "Turn it alone"), h("div", { class: "hx-bar" }, users.labeled, field("Push, in std", push, { class: "hx-field hx-grow" }), inked),
    tally, h("div", { class: "hx-halves" }, h("section", {}, enteredTitle, entered), h("section", {}, goneTitle, gone)));

  const turn = () => {
    const i = picked, strength = strengths[push.value], user = state.user;
    const before = data.list(off, user), after = turnedList(i, strength, user);
    users.select.value = user;
    inked.value = written(strength, "+.2g");
    push.setAttribute("aria-valuetext", strength ? `${written(strength, "+.2g")} standard deviations` : "off");
    enteredTitle.textContent = `What enters (${after.filter((item) => !before.includes(item)).length})`;
    goneTitle.textContent = `What leaves (${before.filter((item) => !after.includes(item)).length})`;
    entered.replaceChildren(...after.filter((item) => !before.includes(item)).map((item) => placed(data, item, after.indexOf(item), "now ")));
    gone.replaceChildren(...before.filter((item) => !after.includes(item)).map((item) => placed(data, item, before.indexOf(item), "was ")));
    let changed = 0, slots = 0;
    for (let one = 0; one < nUsers; one += 1) {
      const old = new Set(data.list(off, one));
      slots += old.size;
      changed += turnedList(i, strength, one).filter((item) => !old.has(item)).length;
    }
    tally.textContent = `Of all ${nUsers} users here, ${written(changed / Math.max(slots, 1), ".1%")} of the places change.`;
  };

  const listed = (title, matrix, values, format, i) => h("section", {}, h("h3", {}, title), h("ol", { class: "hx-list" },
    row(matrix, i).map(([item, place]) => h("li", {}, h("span", { class: "hx-what" }, titled(data, item)), h("span", { class: "hx-quiet" }, written(values[place], format))))));

  const showDetail = (i) => {
    const figures = [["Cohen's d", neurons.d[i], ".2f"], ["fires for", neurons.rate[i], ".2%"], ["correlation", neurons.correlation[i], ".2f"],
      ["effect of a push", neurons.effect[i], "+.4f"]];
    const [turns] = neurons.turned.shape;
    if (i < turns) turn();
    replaced(detail, h("h2", {}, `Neuron ${neurons.index[i]} (${tags(i).join(", ")})`),
      h("dl", { class: "hx-tiles" }, figures.map(([label, value, format]) => h("div", { class: "hx-tile" }, h("dt", {}, label), h("dd", { class: "hx-value" }, written(value, format))))),
      h("div", { class: "hx-thirds" }, listed("It listens to users who met", neurons.hears, neurons.heard, ".3f", i),
        listed("It raises", neurons.raises, neurons.raised, "+.3f", i), listed("It lowers", neurons.lowers, neurons.lowered, "+.3f", i)),
      i < turns ? turning : h("p", { class: "hx-quiet" }, `The ${turns} neurons with the largest |d| can be turned here.`),
      neurons.users[i].length ? h("p", {}, "Users here who drive it: ", neurons.users[i].map((user) => button(data.users.ids[user], () => pick({ tab: "lists", user }), { class: "hx-plain" })).flatMap((one, j) => (j ? [", ", one] : [one])))
        : h("p", { class: "hx-quiet" }, "It fires for none of the users here."),
      h("p", {}, "Nearest neurons, with the cosines of their directions: ", neurons.neighbors[i].flatMap((near, j) => [j ? ", " : "",
        places.has(near) ? button(String(near), () => pick({ neuron: places.get(near) }), { class: "hx-plain" }) : String(near), ` (${written(neurons.likeness[i * neurons.neighbors[i].length + j], ".2f")})`])));
  };

  const show = (changes) => {
    const value = sort.key === "neuron" ? (i) => neurons.index[i] : (i) => (Number.isNaN(neurons[sort.key][i]) ? -Infinity : neurons[sort.key][i]);
    const found = Array.from({ length: n }, (_, i) => i).filter((i) => (!wanted || texts[i].includes(wanted)) && (!tag || tags(i).includes(tag)));
    found.sort((a, b) => (value(a) - value(b)) * (sort.down ? -1 : 1) || a - b);
    said.textContent = !found.length ? "No neuron is found. Search by words of the titles that it listens to, raises or lowers." : `${plural(found.length, "neuron")}${found.length > SHOWN ? `, the first ${SHOWN} shown` : ""}. The autoencoder has ${count(neurons.n)}; here are the strongest that fire. With d above 0 a neuron answers to popular tastes, below 0 to niche ones. Effect is what a push does to the popularity of the lists: +0.1 is 10% more.`;
    picked = state.neuron ?? found[0] ?? 0;
    const columns = [{ key: "neuron", label: "Neuron", number: true }, { key: "d", label: "d", number: true }, { key: "rate", label: "Fires for", number: true }, { key: "effect", label: "Effect", number: true }, ...(tagged ? [{ label: "Tags" }] : []), { label: "Listens to" }];
    replaced(table, sortable(columns, sort, (to) => { sort = to; show(); }, found.slice(0, SHOWN).map((i) => h("tr", { class: i === picked && "hx-picked" },
      h("td", { class: "ht-number" }, button(String(neurons.index[i]), () => pick({ neuron: i }), { class: "hx-plain", "data-key": `neuron ${i}`, "aria-pressed": String(i === picked) })),
      h("td", { class: "ht-number" }, written(neurons.d[i], ".2f")), h("td", { class: "ht-number" }, written(neurons.rate[i], ".2%")),
      h("td", { class: "ht-number" }, written(neurons.effect[i], "+.4f")),
      tagged && h("td", {}, neurons.tags[i].join(", ")),
      h("td", {}, row(neurons.hears, i).slice(0, 1).map(([item]) => titled(data, item))))), "Neurons"));
    table.hidden = detail.hidden = !found.length;
    showDetail(picked);
    if (changes?.includes("neuron")) detail.scrollIntoView({ block: "nearest" });
  };
  return { tab, show };
}
