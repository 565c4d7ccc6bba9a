// What is picked, kept in the address so that it can be shared; whoever shows it is told of changes.

const watchers = [];

export const state = { tab: "lists", user: 0, setting: 0, item: null, neuron: null, direction: 0 };

/** Call a function after every change, with the names of what changed. */
export function watch(act) {
  watchers.push(act);
}

export function pick(changes) {
  const changed = Object.keys(changes).filter((name) => state[name] !== changes[name]);
  if (!changed.length) return;
  Object.assign(state, changes);
  const kept = Object.entries(state).filter(([, value]) => value !== null);
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  for (const act of watchers) act(changed);
}

/** Take from the address what fits: a tab by its name, others by their number. */
export function restore(limits, tabs) {
  const given = new URLSearchParams(location.hash.slice(1));
  if (tabs.includes(given.get("tab"))) state.tab = given.get("tab");
  for (const [name, most] of Object.entries(limits)) {
    const value = Number(given.get(name) ?? NaN);
    if (Number.isInteger(value) && value >= 0 && value < most) state[name] = value;
  }
}
