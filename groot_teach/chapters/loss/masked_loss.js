// The masked loss in the reader's hands: paint the mask, choose whose errors and what divides their sum.
import { chips, fixed, paintable, percent, pointing, put, tries } from "../../show/live.js";

const sum = (values) => values.reduce((total, value) => total + value, 0);

// See `masked_loss` in masked_loss.py. `error`, `counts` and `recorded` have one value for each entry, step after step.
function masked_loss({ error, counts, recorded, dims, divide_by }) {
  const squared = error.map((value) => value * value);
  const summed = sum(squared.filter((_, i) => counts[i]));
  const padded = sum(squared.filter((_, i) => counts[i] && !recorded[i]));
  const pull = sum(error.map(Math.abs).filter((_, i) => counts[i]));
  const padded_pull = sum(error.map(Math.abs).filter((_, i) => counts[i] && !recorded[i]));
  const steps = Array.from({ length: error.length / dims }, (_, step) => counts.slice(step * dims, (step + 1) * dims));
  const divisor = {
    "entries that count": sum(counts.map(Number)),
    "all entries": error.length,
    "steps that count": steps.filter((step) => step.some(Boolean)).length,
  }[divide_by];
  return {
    summed,
    divisor,
    loss: divisor ? summed / divisor : null,
    right: sum(squared.filter((_, i) => recorded[i])) / sum(recorded.map(Number)),
    padded_share: summed ? padded / summed : null,
    padded_pull: pull ? padded_pull / pull : null,
  };
}

const NOUN = { "entries that count": "entries", "all entries": "entries", "steps that count": "steps" };

// See `_bar_end` in masked_loss.py.
function barEnd(most) {
  let end = 2;
  while (most > end) end *= 2;
  return end;
}

function kind(counts, recorded) {
  if (recorded) return counts ? "real" : "hidden";
  return counts ? "leak" : "pad";
}

export const picture = {
  twins: { masked_loss },

  wire(root, { errors, masks, recorded, dims, names }, change, now) {
    const find = (selector) => root.querySelector(selector);
    const cellsOf = (name) => [...find(`[data-sheet="${name}"]`).querySelectorAll(".cell")];
    const [error, mask, product] = ["error", "mask", "product"].map(cellsOf);
    const choose = ["network", "mask", "divide_by"].map((name) => {
      const key = name === "mask" ? "painted" : name;
      const set = chips(find(`[data-control="${name}"]`), (value) => {
        change(name === "mask" ? { painted: masks[value] ?? now().painted } : { [key]: value });
      });
      return { name, set };
    });
    const nameOf = (painted) => Object.keys(masks).find((name) => masks[name] === painted) ?? "your own";
    const counts = () => [...now().painted].map((bit) => bit === "1");
    const paint = (place, on) => {
      const bits = [...now().painted];
      bits[place] = on ? "1" : "0";
      change({ painted: bits.join("") });
    };
    paintable(mask, dims, (place) => now().painted[place] === "1", paint);
    tries(root, change);
    const point = pointing(root, [error, mask, product], (place) => {
      const what = recorded[place] ? "recorded" : "padding";
      const does = counts()[place] ? "counts" : "does not count";
      return `${names[place]}: ${what}, squared error ${fixed(errors[now().network][place] ** 2, 2)}, ${does}`;
    });

    return (state) => {
      choose.forEach(({ name, set }) => set(name === "mask" ? nameOf(state.painted) : state[name]));
      const on = counts();
      const off = errors[state.network];
      const result = masked_loss({ error: off, counts: on, recorded, dims, divide_by: state.divide_by });
      const set = (cell, className, text, strength) => {
        const name = `cell ${className}`;
        const keep = cell.classList.contains("pointed") ? " pointed" : "";
        if (cell.className !== name + keep) cell.className = name + keep;
        cell.style.setProperty("--strength", strength);
        put(cell.firstElementChild, text);
      };
      off.forEach((value, i) => {
        const squared = value * value;
        const strength = fixed(Math.min(1, squared / 2), 2);
        const counted = kind(on[i], recorded[i]);
        set(error[i], recorded[i] ? "real" : "pad", fixed(squared, 1), strength);
        set(mask[i], counted, on[i] ? "1" : "0", "0.85");
        set(product[i], counted, on[i] ? fixed(squared, 1) : "0", strength);
        mask[i].setAttribute("aria-selected", String(on[i]));
        mask[i].setAttribute("aria-label", `${names[i]}, ${recorded[i] ? "recorded" : "padding"}, ${on[i] ? "counts" : "does not count"}`);
      });

      const { loss, right } = result;
      const wrong = loss === null || fixed(loss, 2) !== fixed(right, 2);
      const apart = loss === null ? "" : ` (${loss > right ? "+" : ""}${fixed(100 * (loss / right - 1), 0)}\u00a0%)`;
      const noun = NOUN[state.divide_by];
      put(find(".sum"), `Σ ${fixed(result.summed, 2)} ÷ ${result.divisor} ${noun} =`);
      put(find(".loss"), loss === null ? "no loss" : fixed(loss, 2));
      put(find(".should"), wrong ? `should be ${fixed(right, 2)}${apart}` : "as it should be");
      [find(".loss"), find(".should")].forEach((element) => element.classList.toggle("wrong", wrong));
      const scale = barEnd(Math.max(loss ?? 0, right));
      put(find(".bar-end"), String(scale));
      const share = result.padded_share ?? 0;
      find(".loss-bar i").style.width = `${fixed((100 * (loss ?? 0) * (1 - share)) / scale, 2)}%`;
      find(".loss-bar i.leak").style.width = `${fixed((100 * (loss ?? 0) * share) / scale, 2)}%`;
      find(".tick").style.left = `${fixed((100 * right) / scale, 2)}%`;
      find(".pull-bar i").style.width = `${fixed(100 * (result.padded_pull ?? 0), 2)}%`;
      const of = (part) => (part === null ? "no part" : percent(part));
      put(find(".share"), of(result.padded_share));
      put(find(".pull"), of(result.padded_pull));
      put(find(".live-said"), loss === null
        ? "No entry counts, so there is no loss."
        : `The loss is ${fixed(loss, 2)} and should be ${fixed(right, 2)}. Padding makes ${of(result.padded_share)} of it, `
          + `and ${of(result.padded_pull)} of the gradient pulls on padded outputs.`);
      point();
    };
  },
};
