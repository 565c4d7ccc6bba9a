// All items: how often each is shown as it is and now, and what every dial does to one of them.
import { button, chooser, count, h, plainly, plural, replaced, searcher, sortable, written } from "./dom.js";
import { spark } from "./charts.js";
import { named, titled } from "./lists.js";
import { pick, state } from "./state.js";

const PAGE = 50, SOME = 20;

export function itemsTab(data) {
  const texts = data.items.titles.map((title, i) => plainly(title === data.items.ids[i] ? title : `${title} ${data.items.ids[i]}`));
  let wanted = "", group = "", sort = { key: "before", down: true }, most = PAGE;
  const said = h("p", { class: "hx-quiet", role: "status" }), table = h("div", {}), more = h("div", {}), detail = h("section", { class: "hx-detail", "aria-live": "polite" });
  const groups = [["", "all"], ...data.items.groups.map((name) => [name, name])];
  const again = () => { most = PAGE; show(); };
  const tab = h("div", {},
    h("div", { class: "hx-bar" }, searcher("Search items", (text) => { wanted = plainly(text.trim()); again(); }),
      chooser("Group", groups, group, (name) => { group = name; again(); })),
    said, h("p", { class: "hx-quiet" }, "Popularity is how many people chose an item in training: ", data.items.groups.map((name) => h("span", { class: `hx-chip hx-${name}` }, `${name} `))),
    h("div", { class: "hx-split" }, h("div", {}, table, more), detail));

  const values = {
    popularity: (item) => data.items.popularity[item],
    before: (item) => data.shown(data.plain.row ?? 0, item),
    now: (item) => data.shown(data.settings[state.setting].row ?? 0, item),
    change: (item) => values.now(item) - values.before(item),
  };

  const showDetail = (item) => {
    const dials = data.turned.map((dial) => ({ dial, shown: dial.settings.map((setting) => data.shown(setting.row, item)) }));
    const setting = data.settings[state.setting];
    const users = setting.row === null ? [] : data.users.ids.flatMap((_, user) => (data.list(setting.row, user).includes(item) ? [user] : []));
    const top = Math.max(...dials.flatMap(({ shown }) => shown), 1);
    replaced(detail, h("h2", {}, titled(data, item)),
      h("p", { class: "hx-quiet" }, `${data.items.groups[data.items.group[item]]}, ${plural(data.items.popularity[item], "training interaction")}; `,
        `in ${count(values.before(item))} of ${count(data.n_users)} lists as it is, in ${count(values.now(item))} ${named(setting) === "as it is" ? "now" : `with ${named(setting)}`}.`),
      h("table", { class: "ht-table" }, h("caption", { class: "hx-unseen" }, "Lists with this item, by dial"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Dial"), h("th", { scope: "col" }, "off to strongest"), h("th", { scope: "col", class: "ht-number" }, "as chosen"))),
        h("tbody", {}, dials.map(({ dial, shown }) => {
          const place = dial.settings.indexOf(dial.chosen);
          return h("tr", {}, h("td", {}, button(dial.name, () => pick({ setting: dial.chosen.index }), { class: "hx-plain", "data-key": `dial ${dial.name}` })),
            h("td", {}, spark(shown, place, top, dial.look.color, `${dial.name}: ${shown.join(", ")} lists`)),
            h("td", { class: "ht-number" }, count(shown[place])));
        }))),
      users.length ? h("p", { class: "hx-quiet" }, `Now shown to ${plural(users.length, "user")} of the ${count(data.users.ids.length)} here: `, users.slice(0, SOME).flatMap((user, i) =>
        [i ? ", " : "", button(data.users.ids[user], () => pick({ tab: "lists", user }), { class: "hx-plain", "data-key": `user ${user}` })]), users.length > SOME && ", …")
        : h("p", { class: "hx-quiet" }, `Now shown to none of the ${plural(data.users.ids.length, "user")} here.`));
  };

  const show = (changes) => {
    const found = [];
    for (let item = 0; item < texts.length; item += 1) {
      if ((!wanted || texts[item].includes(wanted)) && (!group || data.items.groups[data.items.group[item]] === group)) found.push(item);
    }
    const value = values[sort.key] ?? ((item) => texts[item]);
    const keys = new Map(found.map((item) => [item, value(item)]));
    found.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      return (x < y ? -1 : x > y ? 1 : 0) * (sort.down ? -1 : 1) || a - b;
    });
    const picked = state.item ?? found[0] ?? 0;
    const left = data.n_items - data.items.ids.length;
    said.textContent = !found.length ? "No item is found. Search by words of a title, or by an id." : `${plural(found.length, "item")}${left && !wanted && !group ? `; ${count(left)} that are seldom shown are left out of this page` : ""}. Lists of ${count(data.n_users)} users, ${data.k} items each.`;
    const columns = [{ key: "title", label: "Item" }, { key: "popularity", label: "Popularity", number: true }, { key: "before", label: "As it is", number: true },
      { key: "now", label: "Now", number: true }, { key: "change", label: "Change", number: true }];
    replaced(table, sortable(columns, sort, (to) => { sort = to; again(); }, found.slice(0, most).map((item) => h("tr", { class: item === picked && "hx-picked" },
      h("td", {}, button(titled(data, item), () => pick({ item }), { class: "hx-plain", "data-key": `item ${item}`, "aria-pressed": String(item === picked) })),
      h("td", { class: "ht-number" }, count(values.popularity(item)), " ", h("span", { class: `hx-dot hx-${data.items.groups[data.items.group[item]]}`, title: data.items.groups[data.items.group[item]] })),
      h("td", { class: "ht-number" }, count(values.before(item))), h("td", { class: "ht-number" }, count(values.now(item))),
      h("td", { class: "ht-number" }, written(values.change(item), "+,d")))), "Items and the lists that they are in"));
    replaced(more, found.length > most ? button(`Show ${count(Math.min(200, found.length - most))} more`, () => { most += 200; show(); }, { "data-key": "more" }) : "");
    table.hidden = detail.hidden = !found.length;
    showDetail(picked);
    if (changes?.includes("item")) detail.scrollIntoView({ block: "nearest" });
  };
  return { tab, show };
}
