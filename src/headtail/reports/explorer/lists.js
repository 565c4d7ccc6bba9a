// The dials, the figures of where they stand, and the list of one user.
import { button, count, field, h, plural, told, unseen, written } from "./dom.js";
import { swatch } from "./charts.js";
import { pick, state } from "./state.js";

/** A setting in words: dials that are off leave the recommender as it is, and a method of one setting has its name. */
export const named = (setting) => (setting.off ? "as it is" : setting.alone ? setting.dial : `${setting.dial} ${written(setting.strength, "g")}`);

/** Write a change with its interval, and whether it is within noise. */
export function changed(estimate) {
  const [value, low, high] = estimate;
  if (!value) return [];
  const text = written(value, "+.1%");
  if (low === null) return [text];
  const sure = low > 0 || high < 0;
  return [text, h("span", { class: "hx-interval" }, ` (${written(low, "+.1%")} to ${written(high, "+.1%")})`), sure ? "" : ", within noise"];
}

/** The panel of dials: moving one turns the others off. */
export function dialPanel(data) {
  const rows = data.turned.map((dial) => {
    const output = h("output", {});
    const marks = dial.settings.findIndex((setting) => setting.chosen);
    const input = h("input", { type: "range", min: 0, max: dial.settings.length - 1, step: 1, value: 0,
      "aria-label": dial.name, oninput: () => pick({ setting: dial.settings[input.value].index }) });
    const mark = marks > 0 && h("span", { class: "hx-mark", title: "chosen on validation" });
    const share = marks / (dial.settings.length - 1);  // the thumb, 16 pixels wide, stays inside its track
    if (mark) mark.style.left = `calc(${8 - 16 * share}px + ${100 * share}%)`;
    const row = h("div", { class: "hx-dial", title: dial.about },
      h("div", { class: "hx-dial-name" }, swatch(dial.look), h("span", {}, dial.name), output),
      h("div", { class: "hx-slide" }, input, mark), dial.about && h("p", { class: "hx-quiet hx-does" }, dial.about));
    return { dial, row, input, output };
  });
  let active = rows[0];
  const select = h("select", { "aria-label": "Dial", class: "hx-which", onchange: () => {
    active = rows[select.value];
    pick({ setting: active.dial.chosen.index });
    show();
  } }, rows.map(({ dial }, i) => h("option", { value: i }, dial.name)));
  const reset = button("As it is", () => pick({ setting: data.plain.index }));
  const chosen = data.chosen !== null && button("As chosen", () => pick({ setting: data.chosen }));
  const panel = h("section", { class: "hx-dials", "aria-labelledby": "dials" },
    h("h2", { id: "dials" }, "Dials"), h("div", { class: "hx-row" }, select, reset, chosen),
    h("div", { class: "hx-all" }, rows.map(({ row }) => row)),
    h("p", { class: "hx-quiet hx-hint" }, "One dial turns at a time. The small mark is what validation chooses."));
  const show = () => {
    const setting = data.settings[state.setting];
    active = rows.find(({ dial }) => !setting.off && dial.name === setting.dial) ?? active;
    rows.forEach((one, i) => {
      const on = one === active;
      const place = on ? Math.max(0, one.dial.settings.indexOf(setting)) : 0;
      const at = one.dial.settings[place];
      const stands = at.off ? "off" : written(at.strength, "g");
      one.row.classList.toggle("hx-on", on && !at.off);
      one.row.classList.toggle("hx-active", on);
      one.input.value = place;
      one.output.value = on ? stands : "off";
      one.input.setAttribute("aria-valuetext", on ? stands : "off");
      if (on) select.value = i;
    });
  };
  return { panel, show };
}

/** The figures of the setting: the two that are traded large, the others below. */
export function figurePanel(data) {
  const title = h("h2", { id: "figures" }), tiles = h("dl", { class: "hx-tiles" }), table = h("table", { class: "ht-table" });
  const others = data.metrics.filter(({ name }) => name !== data.accuracy && name !== data.unfairness);
  const more = h("details", { class: "ht-data", hidden: !others.length, ontoggle: () => show() }, h("summary", {}, plural(others.length, "more figure")), table);
  const place = h("section", { class: "hx-figures", "aria-labelledby": "figures" }, title, tiles, more);
  const facts = Object.fromEntries(data.metrics.map((metric) => [metric.name, metric]));
  const show = () => {
    const setting = data.settings[state.setting];
    const tile = (name) => {
      const [value, low, high] = setting.values[name];
      return h("div", { class: "hx-tile" },
        h("dt", { title: facts[name].definition }, facts[name].title, " ", h("code", {}, name)),
        h("dd", { class: "hx-value" }, written(value, facts[name].format)),
        h("dd", {}, setting.strength && !setting.off ? changed(setting.changes[name])
          : low === null ? named(setting) : `${written(low, facts[name].format)} to ${written(high, facts[name].format)}`));
    };
    title.replaceChildren("On the test: ", named(setting));
    tiles.replaceChildren(tile(data.accuracy), tile(data.unfairness));
    if (!more.open) return;
    table.replaceChildren(
      h("thead", {}, h("tr", {}, ["Figure", "as it is", "now"].map((text, i) => h("th", { scope: "col", class: i && "ht-number" }, text)))),
      h("tbody", {}, others.map(({ name, title: plain, format, definition }) => h("tr", {}, h("td", { title: definition }, plain),
        [data.plain, setting].map((one) => h("td", { class: "ht-number" }, written(one.values[name][0], format)))))));
  };
  return { place, show };
}

const chip = (data, item) => {
  const group = data.items.groups[data.items.group[item]];
  return h("span", { class: `hx-chip hx-${group}`, title: `${group}: ${plural(data.items.popularity[item], "training interaction")}` },
    group, h("span", { class: "hx-count" }, count(data.items.popularity[item])));
};

export const titled = (data, item) => told(data.items.titles[item]);

/** A title that leads to what every dial does to the item. */
const linked = (data, item, ...beside) => button([titled(data, item), ...beside], () => pick({ tab: "items", item }), { class: "hx-plain hx-item" });

function moved(before, place) {
  if (before < 0) return [h("span", { class: "hx-new" }, "new"), "new"];
  const by = before - place;
  if (!by) return [h("span", { class: "hx-quiet", "aria-hidden": "true" }, "="), "same place"];
  return [h("span", { class: by > 0 ? "hx-up" : "hx-down", "aria-hidden": "true" }, `${by > 0 ? "▲" : "▼"}${Math.abs(by)}`),
    `${by > 0 ? "up" : "down"} ${Math.abs(by)}`];
}

/** The users to pick from, by their tastes. */
export function userChooser(data) {
  const options = [...new Set(data.users.tastes)].map((taste) => h("optgroup", { label: taste },
    data.users.ids.map((id, i) => [id, i]).filter(([, i]) => data.users.tastes[i] === taste)
      .map(([id, i]) => h("option", { value: i }, `User ${id}`))));
  const select = h("select", { onchange: () => pick({ user: Number(select.value) }) }, options);
  return { select, labeled: field("User", select, { class: "hx-field hx-grow" }) };
}

/** An item that entered or left a list, with its place there. */
export const placed = (data, item, place, words, ...beside) => h("li", {}, h("span", { class: "hx-rank" }, unseen(words), place + 1),
  h("span", { class: "hx-what" }, linked(data, item, ...beside)), chip(data, item));

/** The tab of lists: whose, the list as it is now, what left it, and what is known of the user. */
export function listsTab(data) {
  const n = data.users.ids.length, { select, labeled } = userChooser(data);
  const about = h("p", { class: "hx-quiet hx-about" });
  const now = h("ol", { class: "hx-list" }), gone = h("ul", { class: "hx-list" }), known = h("ul", { class: "hx-list" });
  const nowTitle = h("h2", {}), goneTitle = h("h2", {}), knownTitle = h("h2", {});
  const live = h("p", { class: "hx-unseen", role: "status" });
  let knownOf = null;
  const step = (by) => pick({ user: (state.user + by + n) % n });
  const tab = h("div", {},
    h("div", { class: "hx-bar" }, labeled,
      button("←", () => step(-1), { "aria-label": "Previous user" }), button("→", () => step(1), { "aria-label": "Next user" })),
    about, live,
    h("div", { class: "hx-columns" }, h("section", {}, nowTitle, now, h("p", { class: "hx-quiet hx-hint" },
      "★ this user chose it in the test. ▲▼ places up or down from the list as it is. The number: people who chose it in training.")),
      h("div", {}, h("section", {}, goneTitle, gone), h("section", {}, knownTitle, known))));
  const show = () => {
    const setting = data.settings[state.setting], user = state.user;
    const before = data.list(data.plain.row ?? 0, user), after = setting.row === null ? [] : data.list(setting.row, user);
    const relevant = data.relevant[user], hits = (items) => items.filter((item) => relevant.has(item)).length;
    select.value = user;
    about.replaceChildren(`${data.users.tastes[user]}, `, plural(data.users.n_known[user], "known item"), ", ",
      plural(relevant.size, "item"), " in the test: ", h("b", {}, `${hits(after)} in this list`), `, ${hits(before)} as it is`);
    const entered = after.filter((item) => !before.includes(item)), left = before.filter((item) => !after.includes(item));
    nowTitle.textContent = `The list: ${named(setting)}`;
    goneTitle.textContent = left.length ? `What left (${left.length})` : "Nothing left the list";
    live.textContent = `${named(setting)}: ${entered.length} entered, ${left.length} left, ${hits(after)} in the test.`;
    const star = (item) => relevant.has(item) && h("span", { class: "hx-hit", title: "in the test" }, h("span", { "aria-hidden": "true" }, "★"), unseen(" in the test"));
    now.replaceChildren(...after.map((item, place) => {
      const [mark, words] = moved(before.indexOf(item), place);
      return h("li", { class: before.includes(item) ? "" : "hx-entered" }, h("span", { class: "hx-rank" }, place + 1),
        h("span", { class: "hx-move" }, mark, words !== "new" && unseen(words)), h("span", { class: "hx-what" }, linked(data, item, star(item))), chip(data, item));
    }));
    if (setting.row === null) now.replaceChildren(h("li", { class: "hx-quiet" }, "Of this method there are figures and no lists."));
    gone.replaceChildren(...left.map((item) => placed(data, item, before.indexOf(item), "was ", star(item))));
    if (knownOf === user) return;
    knownOf = user;
    knownTitle.textContent = data.known[user].length < data.users.n_known[user]
      ? `Known of this user, ${data.known[user].length} of ${data.users.n_known[user]}` : "Known of this user";
    known.replaceChildren(...data.known[user].map((item) => h("li", {}, h("span", { class: "hx-what" }, linked(data, item)), chip(data, item))));
  };
  return { tab, show };
}
