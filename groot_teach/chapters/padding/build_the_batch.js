// A batch in the reader's hands: drag how much each robot recorded, and choose how the loss reads the mask.
import { chips, draggable, fixed, paintable, percent, pointing, put, tries } from "../../show/live.js";

const count = (bits) => bits.filter(Boolean).length;
const range = (length) => Array.from({ length }, (_, i) => i);

// See `build_the_batch` in build_the_batch.py. Masks have one value for each entry, robot after robot, step after step.
function build_the_batch({ steps, dims, words, painted, action_horizon, padded_dim, key_len }) {
  const action_mask = painted.map((opposite, place) => {
    const robot = Math.floor(place / (action_horizon * padded_dim));
    const step = Math.floor(place / padded_dim) % action_horizon;
    return (step < steps[robot] && place % padded_dim < dims[robot]) !== opposite;
  });
  return {
    action_mask,
    action_is_pad: range(painted.length / padded_dim).map(
      (step) => !action_mask.slice(step * padded_dim, (step + 1) * padded_dim).some(Boolean)),
    backbone_attention_mask: words.flatMap((words_of_one) => range(key_len).map((place) => place >= key_len - words_of_one)),
  };
}

// See `count_the_batch` in build_the_batch.py.
function count_the_batch({ batch, mask, true_means, padded_dim }) {
  const { action_mask, action_is_pad, backbone_attention_mask } = batch;
  const declared = mask === "action_mask" ? action_mask : action_mask.map((_, i) => action_is_pad[Math.floor(i / padded_dim)]);
  const counts = declared.map((bit) => bit === (true_means === "real"));
  const padded_entries = count(action_mask.map((bit) => !bit));
  return {
    counts,
    counted: count(counts),
    padding_counted: count(counts.map((bit, i) => bit && !action_mask[i])),
    recorded_left_out: count(counts.map((bit, i) => !bit && action_mask[i])),
    padded_entries,
    padded_share: padded_entries / action_mask.length,
    padded_tokens: count(backbone_attention_mask.map((bit) => !bit)),
  };
}

const kind = (counts, recorded) => (recorded ? (counts ? "real" : "hidden") : counts ? "leak" : "pad");

// What the loss counts, in words; `wrong` tells whether it is what it should be.
function verdict({ counted, padding_counted, recorded_left_out }, mask, upside_down) {
  if (!counted) return { wrong: true, before: "The loss counts no entry, so there is ", number: "no loss", after: "." };
  const before = `The loss counts ${counted} ${counted === 1 ? "entry" : "entries"}, of them `;
  if (!padding_counted && !recorded_left_out) return { wrong: false, before, number: "0", after: " padding, as it should be." };
  const missed = recorded_left_out ? ` It leaves out ${recorded_left_out} recorded ones.` : "";
  const why = upside_down ? " It reads the mask upside down."
    : mask === "action_is_pad" ? " This mask knows nothing of dims." : "";
  return { wrong: true, before, number: String(padding_counted), after: ` padding, should be 0.${missed}${why}` };
}

// A handle on an edge: dragged, or moved by the arrow keys. `place` turns the pointer's place into a number.
function edge(handle, frame, most, place, now, moved) {
  const set = (value) => {
    const next = Math.min(most, Math.max(1, value));
    if (next !== now()) moved(next);
  };
  draggable(handle, frame, (x, y) => set(Math.round(place(x, y) * most)));
  handle.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const grows = handle.classList.contains("steps") ? "ArrowDown" : handle.classList.contains("words") ? "ArrowLeft" : "ArrowRight";
    const arrows = { ArrowLeft: "ArrowRight", ArrowRight: "ArrowLeft", ArrowUp: "ArrowDown", ArrowDown: "ArrowUp" };
    const next = { [grows]: now() + 1, [arrows[grows]]: now() - 1, Home: 1, End: most }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    set(next);
  });
}

export const picture = {
  twins: { build_the_batch, count_the_batch },

  wire(root, { robots, prompts, action_horizon, padded_dim, key_len, means }, change, now) {
    const find = (selector) => root.querySelector(selector);
    const cellsOf = (name) => [...find(`[data-sheet="${name}"]`).querySelectorAll(".cell")];
    const [entries, flags] = ["entries", "flags"].map(cellsOf);
    const blocks = [...root.querySelectorAll(".handles .block")];
    const rows = [...root.querySelectorAll(".prompt")];
    const choose = ["mask", "true_means"].map((name) => ({
      name, set: chips(find(`[data-control="${name}"]`), (value) => change({ [name]: value })),
    }));
    const bitsOf = (state) => [...state.painted].map((bit) => bit === "1");
    const masks = (state) => build_the_batch({ ...state, painted: bitsOf(state), action_horizon, padded_dim, key_len });
    const counted = (state) => count_the_batch({ batch: masks(state), mask: state.mask, true_means: state.true_means, padded_dim });
    const at = (numbers, robot, value) => numbers.map((old, i) => (i === robot ? value : old));
    const each = action_horizon * padded_dim;

    // A block that is dragged is whole again: what was painted in it is gone.
    const unpainted = (robot) => now().painted.slice(0, robot * each) + "0".repeat(each) + now().painted.slice((robot + 1) * each);
    const handles = robots.map((_, robot) => {
      const frame = blocks[robot].querySelector(".cells");
      const tokens = rows[robot].querySelector(".tokens");
      const dragged = (name) => (value) => change({
        [name]: at(now()[name], robot, value), ...(name === "words" ? {} : { painted: unpainted(robot) }),
      });
      const made = { dims: frame.querySelector(".dims"), steps: frame.querySelector(".steps"), words: tokens.querySelector(".handle") };
      edge(made.dims, frame, padded_dim, (x) => x, () => now().dims[robot], dragged("dims"));
      edge(made.steps, frame, action_horizon, (_, y) => y, () => now().steps[robot], dragged("steps"));
      edge(made.words, tokens, key_len, (x) => 1 - x, () => now().words[robot], dragged("words"));
      return made;
    });

    const isReal = (place) => masks(now()).action_mask[place];
    paintable(entries, padded_dim, isReal, (place) => {
      const bits = [...now().painted];
      bits[place] = bits[place] === "1" ? "0" : "1";
      change({ painted: bits.join("") });
    });
    tries(root, change);

    const nameOf = (place) => {
      const step = Math.floor(place / padded_dim);
      return `${robots[Math.floor(place / each)]}, step ${(step % action_horizon) + 1}, dim ${(place % padded_dim) + 1}`;
    };
    const does = (recorded, counts) => `${recorded ? "recorded" : "padding"}, ${counts ? "counts" : "does not count"}`;
    const point = pointing(root, [entries], (place) => `${nameOf(place)}: ${does(isReal(place), counted(now()).counts[place])}`);

    const set = (cell, className, text) => {
      const keep = cell.classList.contains("pointed") ? " pointed" : "";
      if (cell.className !== `cell ${className}${keep}`) cell.className = `cell ${className}${keep}`;
      put(cell.firstElementChild, text);
    };

    return (state) => {
      choose.forEach(({ name, set: choice }) => choice(state[name]));
      const { action_mask, action_is_pad } = masks(state);
      const result = counted(state);
      entries.forEach((cell, i) => {
        set(cell, kind(result.counts[i], action_mask[i]), String(Number(action_mask[i])));
        cell.setAttribute("aria-selected", String(action_mask[i]));
        cell.setAttribute("aria-label", `${nameOf(i)}, ${does(action_mask[i], result.counts[i])}`);
      });
      flags.forEach((cell, i) => set(cell, action_is_pad[i] ? "pad" : "real", String(Number(action_is_pad[i]))));
      robots.forEach((name, robot) => {
        blocks[robot].style.setProperty("--steps", state.steps[robot]);
        blocks[robot].style.setProperty("--dims", state.dims[robot]);
        rows[robot].style.setProperty("--words", state.words[robot]);
        Object.entries(handles[robot]).forEach(([edge_of, handle]) => handle.setAttribute("aria-valuenow", state[edge_of][robot]));
        const words = prompts[robot].slice(0, state.words[robot]);
        rows[robot].querySelector(".token-row").setAttribute("aria-label", `prompt of the ${name}: ${words.join(" ")}`);
        rows[robot].querySelectorAll(".token").forEach((token, place) => {
          const word = words[place - key_len + words.length] ?? "";
          token.className = `token ${word ? "real" : "pad"}`;
          put(token.firstElementChild, word);
          put(token.lastElementChild, word ? "1" : "0");
        });
      });

      const whole = action_mask.length;
      put(find(".share .big"), percent(result.padded_share));
      find(".share-bar i").style.width = `${fixed(100 * (1 - result.padded_share), 2)}%`;
      find(".share-bar i.pad").style.width = `${fixed(100 * result.padded_share, 2)}%`;
      put(find(".recorded"), `${whole - result.padded_entries} recorded`);
      put(find(".made"), `${result.padded_entries} of ${whole} made by us`);
      put(find(".made-tokens"), `${result.padded_tokens} of ${key_len * robots.length} tokens are padding`);
      const { wrong, before, number, after } = verdict(result, state.mask, means[state.mask] !== state.true_means);
      const line = find(".counted");
      line.classList.toggle("wrong", wrong);
      const [first, strong, last] = line.childNodes;
      [[first, before], [strong, number], [last, after]].forEach(([node, text]) => put(node, text));
      put(find(".live-said"), `${result.padded_entries} of ${whole} action entries are padding, and ${result.padded_tokens} of `
        + `${key_len * robots.length} tokens. ${before}${number}${after}`);
      point();
    };
  },
};
