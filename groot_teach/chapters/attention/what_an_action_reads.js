// What an action reads: drag padding into a prompt, switch the mask, and see attention, answer and loss move together.
import { chips, fixed, paintable, percent, put, slider, tries } from "../../show/live.js";

const sum = (values) => values.reduce((total, value) => total + value, 0);
const dot = (a, b) => sum(a.map((value, i) => value * b[i]));
const norm = (values) => Math.sqrt(sum(values.map((value) => value * value)));

// See `what_an_action_reads` in what_an_action_reads.py. `key`, `value`, `may_read`, `is_real` have a row for each token.
function what_an_action_reads({ query, key, value, readout, velocity_target, may_read, is_real }) {
  const scores = key.map((row) => dot(query, row) / Math.sqrt(query.length));
  const attend = (mask) => {
    const highest = Math.max(...scores.filter((_, i) => mask[i]));
    const read = scores.map((score, i) => (mask[i] ? Math.exp(score - highest) : 0));
    const total = sum(read);
    const weights = read.map((amount) => amount / total);
    return { weights, output: query.map((_, dim) => sum(weights.map((weight, i) => weight * value[i][dim]))) };
  };
  const lossOf = (output) => {
    const squared = velocity_target.map((target, dim) => (dot(output, readout.map((row) => row[dim])) - target) ** 2);
    return sum(squared) / squared.length;
  };
  const alone = attend(is_real).output;
  const right = lossOf(alone);
  const unmasked = lossOf(attend(is_real.map(() => true)).output);
  if (!may_read.some(Boolean)) return { weights: null, on_padding: null, off_by: null, loss: null, right, unmasked };
  const { weights, output } = attend(may_read);
  const length = norm(alone);
  return {
    weights,
    on_padding: sum(weights.filter((_, i) => !is_real[i])),
    off_by: length ? norm(output.map((number, dim) => number - alone[dim])) / length : null,
    loss: lossOf(output),
    right,
    unmasked,
  };
}

// See `ribbons` in what_an_action_reads.py.
function ribbons(weights) {
  const slot = 1000 / weights.length;
  let upto = 0;
  return weights.map((weight, place) => {
    upto += weight;
    const middle = (place + 0.5) * slot;
    const half = Math.min(360 * weight, 0.8 * slot) / 2;
    const [x0, x1] = [fixed(middle - half, 1), fixed(middle + half, 1)];
    const [b0, b1] = [fixed(320 + 360 * (upto - weight), 1), fixed(320 + 360 * upto, 1)];
    return `M${x0} 0C${x0} 60 ${b0} 45 ${b0} 100H${b1}C${b1} 45 ${x1} 60 ${x1} 0Z`;
  });
}

const pads = (count) => `${count} pad${count === 1 ? "" : "s"}`;
const width = (part) => `${fixed(100 * part, 2)}%`;

export const picture = {
  twins: { what_an_action_reads },

  wire(root, { query, key, value, readout, velocity_target, names, faces, real, full, masks, notices }, change, now) {
    const find = (selector) => root.querySelector(selector);
    const cells = [...root.querySelectorAll(".vl-token")];
    const paths = [...root.querySelectorAll(".ribbons path")];
    const row = find(".vl-row");
    const inARow = (state) => {
      const padding = Array.from({ length: state.pads }, (_, i) => real + i);
      const prompt = Array.from({ length: real }, (_, i) => i);
      return state.side === "left" ? [...padding, ...prompt] : [...prompt, ...padding];
    };
    // A mask has its name if the tokens that are there make no other.
    const nameOf = ({ mask, pads: count }) => {
      const same = (name) => masks[name].slice(0, real + count) === mask.slice(0, real + count);
      const named = Object.keys(masks).filter(same);
      return named.find((name) => masks[name] === mask) ?? named[0] ?? "your own";
    };
    const chosen = {
      mask: chips(find('[data-control="mask"]'), (name) => change({ mask: masks[name] ?? now().mask })),
      pads_are: chips(find('[data-control="pads_are"]'), (kind) => change({ pads_are: kind })),
      side: chips(find('[data-control="side"]'), (side) => change({ side })),
      pads: slider(find('[data-control="pads"]'), (count) => change({ pads: count }), pads),
    };
    const tokenAt = (place) => inARow(now())[place];
    paintable(cells, cells.length, (place) => now().mask[tokenAt(place)] === "1", (place, on) => {
      const token = tokenAt(place);
      change({ mask: now().mask.slice(0, token) + (on ? "1" : "0") + now().mask.slice(token + 1) });
    });
    tries(root, change);

    return (state) => {
      chosen.mask(nameOf(state));
      ["pads_are", "side", "pads"].forEach((name) => chosen[name](state[name]));
      const count = real + state.pads;
      const may_read = Array.from({ length: count }, (_, token) => state.mask[token] === "1");
      const is_real = may_read.map((_, token) => token < real);
      const { weights, on_padding, off_by, loss, right, unmasked } = what_an_action_reads({
        query, key: key[state.pads_are].slice(0, count), value: value[state.pads_are].slice(0, count), readout,
        velocity_target, may_read, is_real,
      });
      const nothing = weights === null;

      const order = inARow(state);
      const drawn = ribbons(order.map((token) => weights?.[token] ?? 0));
      row.style.setProperty("--columns", order.length);
      if (cells.some((cell, place) => cell.tabIndex === 0 && place >= order.length)) {
        cells.forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; });
      }
      cells.forEach((cell, place) => {
        const token = order[place];
        cell.hidden = token === undefined;
        const kind = cell.hidden ? "" : may_read[token] ? (token < real ? "real" : "leak") : token < real ? "unread" : "pad";
        const share = cell.hidden ? "" : nothing ? "–" : percent(weights[token]);
        const what = token < real ? "real" : "padding";
        const does = may_read[token] ? `${nothing ? "no" : share} of the attention` : "hidden";
        cell.className = `cell vl-token ${kind}`;
        cell.setAttribute("aria-selected", String(cell.hidden || may_read[token]));
        cell.setAttribute("aria-label", cell.hidden ? "" : `${names[token]}, ${what}, ${does}`);
        put(cell.firstElementChild, share);
        cell.firstElementChild.classList.toggle("none", share === percent(0));
        const face = cell.lastElementChild;
        if (face.innerHTML !== (faces[token] ?? "")) face.innerHTML = faces[token] ?? "";
        paths[place].setAttribute("class", kind);
        paths[place].setAttribute("d", !cell.hidden && may_read[token] ? drawn[place] : "");
      });

      const wrong = (selector, is) => find(selector).classList.toggle("wrong", is);
      const leaks = !nothing && percent(on_padding) !== percent(0);
      put(find(".on-padding strong"), nothing ? "no attention" : percent(on_padding));
      put(find(".on-prompt strong"), nothing ? "no attention" : percent(1 - on_padding));
      wrong(".on-padding", leaks);
      find(".taken").classList.toggle("padding-last", state.side === "right"); // as the ribbons come in
      find(".taken .leak").style.width = width(on_padding ?? 0);
      find(".taken .leak + i").style.width = width(nothing ? 0 : 1 - on_padding);

      const off = off_by === null || percent(off_by) !== percent(0);
      put(find(".off-by"), nothing ? "no answer" : off_by === null ? "nothing to compare with" : `off by ${percent(off_by)}`);
      put(find(".off-should"), nothing ? "" : off ? "and should be 0\u00a0%" : "as it should be");
      find(".off-bar i").style.width = width(Math.min(1, off_by ?? 0));
      wrong(".off-by", off);
      wrong(".off-should", off);

      const bad = nothing || fixed(loss, 3) !== fixed(right, 3);
      const apart = `${loss > right ? "+" : ""}${fixed(100 * (loss / right - 1), 0)}\u00a0%`;
      put(find(".loss"), nothing ? "no loss" : fixed(loss, 3));
      put(find(".should"), nothing ? `should be ${fixed(right, 3)}` : bad ? `should be ${fixed(right, 3)} (${apart})` : "as it should be");
      wrong(".loss", bad);
      wrong(".should", bad);
      const scale = Math.max(loss ?? 0, full);
      find(".loss-bar i").style.width = width(Math.min(loss ?? 0, right) / scale);
      find(".loss-bar .leak").style.width = width(Math.max(0, (loss ?? 0) - right) / scale);
      find(".tick").style.left = width(right / scale);
      find(".tick-name").style.marginLeft = width(right / scale);
      put(find(".masked-loss"), fixed(right, 3));
      put(find(".unmasked-loss"), fixed(unmasked, 3));
      find(".mask-off").hidden = nameOf(state) === "off"; // the loss that is shown is the same then
      // See `notice_of` in what_an_action_reads.py.
      const noticeOf = () => {
        const padding = may_read.slice(real);
        if (nothing) return "nothing";
        if (may_read.slice(0, real).includes(false)) return "missing";
        if (!padding.includes(true)) return padding.length ? "masked" : "alone";
        if (!leaks) return "luck";
        return state.pads_are === "zeros" ? "zeros" : "others";
      };
      const notice = notices[noticeOf()];
      put(find(".live-readout"), notice);
      put(find(".live-said"), nothing
        ? notice
        : `With ${pads(state.pads)}, ${percent(on_padding)} of the attention goes to padding. `
          + (off_by === null ? "" : `The answer is off by ${percent(off_by)}. `)
          + `The loss is ${fixed(loss, 3)} and should be ${fixed(right, 3)}. ${notice}`);
    };
  },
};
