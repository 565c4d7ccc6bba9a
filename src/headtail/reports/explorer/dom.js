// Elements and text. Whatever others wrote becomes a text node, and never markup.

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Text of others, whose direction of writing stays its own. */
export const told = (text) => h("bdi", { class: "hx-told" }, text);

/** Text for screen readers alone. */
export const unseen = (text) => h("span", { class: "hx-unseen" }, text);

const writers = {};

const writer = (places, useGrouping) => (writers[[places, useGrouping]] ??= new Intl.NumberFormat("en-US",
  { minimumFractionDigits: places, maximumFractionDigits: places, useGrouping }));

const powered = (value, places) => value.toExponential(places).replace(/(?<=e[+-])(?=\d$)/, "0");

function general(value, digits) {
  const text = powered(value, digits - 1), power = Number(text.split("e")[1]);
  return power < -4 || power >= digits ? text.replace(/\.?0*(?=e)/, "") : String(Number(text));
}

/** Write a number by a format of Python's: ".3f", ".1%", ",d", ".2e", "+.1%", "g" or, for a share, ".3g%". */
export function written(value, format = ".4f") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const [, plus, comma, digits, letter, share] = /(\+?)\d*(,?)(?:\.(\d+))?([a-z]?)(%?)$/i.exec(format);
  const kind = letter.toLowerCase() || (share ? "f" : "g"), scaled = share ? 100 * value : value;
  const places = kind === "d" ? 0 : Number(digits ?? 6);
  let text = kind === "e" ? powered(scaled, places)
    : kind === "g" ? general(scaled, places || 1) : writer(places, comma === ",").format(scaled);
  if (!/[1-9]/.test(text)) text = text.replace("-", "");
  else if (plus && scaled > 0) text = `+${text}`;
  return text.replaceAll("-", "−") + share;
}

export const count = (value) => written(value, ",d");

export const plural = (n, word, words = `${word}s`) => `${count(n)} ${n === 1 ? word : words}`;

/** Text as it is searched: without case and accents. */
export const plainly = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

export function button(text, act, attributes = {}) {
  return h("button", { type: "button", onclick: act, ...attributes }, text);
}

let fields = 0;

/** A control with its label. */
export function field(label, control, attributes = {}) {
  fields += 1;
  control.id = `field-${fields}`;
  return h("div", { class: "hx-field", ...attributes }, h("label", { for: control.id }, label), control);
}

/** A choice of a few. */
export function chooser(label, options, value, act) {
  const select = h("select", { onchange: () => act(select.value) },
    options.map(([name, text]) => h("option", { value: name, selected: name === value }, text)));
  return field(label, select);
}

/** A field for what is searched. */
export function searcher(label, act) {
  const input = h("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => act(input.value) });
  return field(label, input, { class: "hx-field hx-grow" });
}

/** A table that sorts by its heads: columns are { key, label, number }. */
export function sortable(columns, sort, act, rows, caption) {
  const heads = columns.map(({ key, label, number }) => h("th", {
    scope: "col", class: number && "ht-number",
    "aria-sort": sort.key === key ? (sort.down ? "descending" : "ascending") : undefined,
  }, key ? button([label, h("span", { class: "hx-arrow", "aria-hidden": "true" },
    sort.key === key ? (sort.down ? "▼" : "▲") : "")],
  () => act({ key, down: sort.key === key ? !sort.down : Boolean(number) }), { "data-sort": key }) : label));
  return h("div", { class: "ht-scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { class: "ht-table" }, h("caption", { class: "hx-unseen" }, caption),
      h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}

/** Put new content in place, and the focus back on what had it, found again by its mark. */
export function replaced(place, ...content) {
  const active = document.activeElement;
  const mark = place.contains(active) && ["data-sort", "data-key"].map((name) => [name, active.getAttribute(name)])
    .find(([, value]) => value !== null);
  place.replaceChildren(...content);
  if (mark) [...place.querySelectorAll(`[${mark[0]}]`)].find((one) => one.getAttribute(mark[0]) === mark[1])?.focus();
}
