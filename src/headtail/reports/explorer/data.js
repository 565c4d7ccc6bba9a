// The data of the page: JSON in which arrays stand deflated and as base64.

const KINDS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int8: Int8Array, int16: Int16Array,
  int32: Int32Array, float32: Float32Array };

async function unpacked({ type, deflated }) {
  const bytes = Uint8Array.from(atob(deflated), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new KINDS[type](await new Response(stream).arrayBuffer());
}

/** Replace every packed array inside a value by a typed one, which keeps its shape. */
async function expanded(value) {
  if (Array.isArray(value) || value === null || typeof value !== "object") return value;
  if ("deflated" in value) return Object.assign(await unpacked(value), { shape: value.shape });
  const entries = Object.entries(value).map(async ([name, inner]) => [name, await expanded(inner)]);
  return Object.fromEntries(await Promise.all(entries));
}

/** Parts of an array whose lengths are given. */
function parts({ items, counts }) {
  let start = 0;
  return counts.map((count) => Array.from(items.subarray(start, (start += count))));
}

/** Read what the page shows, and what follows from it. */
export async function load(text) {
  const data = await expanded(JSON.parse(text));
  const n = data.items.ids.length;
  const [, users, k] = data.lists.shape;
  data.known = parts(data.users.known);
  data.relevant = parts(data.users.relevant).map((items) => new Set(items));
  data.settings.forEach((setting, index) => { setting.index = index; });
  data.dials.forEach((dial, index) => {
    dial.look = data.looks[index];
    dial.settings = data.settings.filter((setting) => setting.dial === dial.name);
    dial.settings.forEach((setting) => { setting.alone = dial.settings.length === 1; });
    dial.chosen = dial.settings.find((setting) => setting.chosen) ?? dial.settings[0];
  });
  data.turned = data.dials.filter((dial) => dial.settings.length > 1 && dial.settings.every((s) => s.row !== null));
  // The recommender as it is: the first setting whose lists are those of all dials that are off.
  data.plain = data.settings.find((setting) => setting.row === 0) ?? data.settings[0];
  data.settings.forEach((setting) => { setting.off = setting.row !== null && setting.row === data.plain.row; });
  data.list = (row, user) => Array.from(data.lists.subarray((row * users + user) * k, (row * users + user + 1) * k))
    .filter((item) => item < n);
  data.shown = (row, item) => data.exposure[row * n + item];
  return data;
}
