// A masked loss that breaks, in the reader's hands: put a NaN into an entry, and see what is left of loss and gradient.
import { chips, fixed, paintable, put, tries } from "../../show/live.js";

const sum = (values) => values.reduce((total, value) => total + value, 0);
const SELECT_FIRST = "select, then square";

// See `broken_loss` in broken_loss.py. `error` and `counts` have one value for each entry. The gradient is written down
// as autograd multiplies it, so that a 0 meets a NaN in the same places.
function broken_loss({ error, counts, way, divide_by }) {
  const count = sum(counts.map(Number));
  const squared = error.map((value) => value * value);
  const selected = error.map((value, i) => (counts[i] ? value : 0));
  const [first, second] = {
    "square, then × mask": [squared, squared.map((value, i) => value * Number(counts[i]))],
    "square, then select": [squared, squared.map((value, i) => (counts[i] ? value : 0))],
    [SELECT_FIRST]: [selected, selected.map((value) => value * value)],
  }[way];
  const summed = sum(second);
  const divisor = {
    "count (N1.5)": count,
    "count + 1e-6 (N1.7)": count + 1e-6,
    "at least 1 (ACT)": Math.max(1, count),
    "raise an error (ours)": count || null,
  }[divide_by];
  const slopes = (by) => ({
    "square, then × mask": error.map((value, i) => (1 / by) * Number(counts[i]) * (2 * value)),
    "square, then select": error.map((value, i) => (counts[i] ? 1 / by : 0) * (2 * value)),
    [SELECT_FIRST]: selected.map((value, i) => (counts[i] ? (1 / by) * (2 * value) : 0)),
  });
  const gradient = divisor === null ? null : slopes(divisor)[way];
  return {
    first,
    second,
    summed,
    divisor,
    loss: divisor === null ? null : summed / divisor,
    gradient,
    of_weight: gradient && sum(gradient),
    right: count ? sum(selected.map((value) => value * value)) / count : null,
    right_of_weight: count ? sum(slopes(count)[SELECT_FIRST]) : null,
  };
}

const text = (value, digits) => (Number.isNaN(value) ? "NaN" : fixed(value, digits));

// What became of the loss and of its gradient, in words.
function verdict({ loss, of_weight }, counts, isNan, refusal) {
  if (loss === null) return `The library raises an error: ${refusal}.`;
  if (isNan.some((nan, i) => nan && counts[i])) return "An entry that counts is NaN. No mask may hide that: the NaN says that the data are broken.";
  const [lostLoss, lostGradient] = [loss, of_weight].map(Number.isNaN);
  if (!counts.some(Boolean)) {
    if (lostLoss) return `Nothing counts, and the NaN in the log says so at once. ${lostGradient ? "One step later the weights are NaN." : "The gradient is 0, so nothing is learned."}`;
    return `Nothing counts. The log shows a perfect loss of 0, ${lostGradient ? "and one step later the weights are NaN." : "and nothing is learned."}`;
  }
  if (lostLoss) return "0 × NaN is NaN, in the loss and on the way back. At least this is loud: the log shows it at once.";
  if (lostGradient) return "The log shows a loss that is right. But on the way back 0 × 2 × NaN is NaN, and one step later the weights are NaN.";
  if (isNan.some(Boolean)) return "The NaN is left out before anything is computed with it, so neither the loss nor the gradient meets it.";
  return "While the padding holds numbers, all three ways give the same loss and the same gradient.";
}

export const picture = {
  twins: { broken_loss },

  wire(root, { error: numbers, steps, refusal }, change, now) {
    const find = (selector) => root.querySelector(selector);
    const lines = Object.fromEntries(["mask", "error", "first", "second", "gradient"].map((name) => (
      [name, [...root.querySelectorAll(`[data-line="${name}"] .cell`)]]
    )));
    const choose = ["way", "divide_by"].map((key) => {
      const set = chips(find(`[data-control="${key}"]`), (value) => change({ [key]: value }));
      return (state) => set(state[key]);
    });
    [["mask", "painted"], ["error", "nan"]].forEach(([line, key]) => {
      const bitAt = (place) => now()[key][place] === "1";
      paintable(lines[line], numbers.length, bitAt, (place, on) => {
        change({ [key]: now()[key].slice(0, place) + (on ? "1" : "0") + now()[key].slice(place + 1) });
      });
    });
    tries(root, change);

    return (state) => {
      choose.forEach((set) => set(state));
      const counts = [...state.painted].map((bit) => bit === "1");
      const isNan = [...state.nan].map((bit) => bit === "1");
      const error = numbers.map((value, i) => (isNan[i] ? NaN : value));
      const result = broken_loss({ error, counts, way: state.way, divide_by: state.divide_by });

      const set = (cell, kind, shown, strength) => {
        cell.className = `cell ${kind}`;
        cell.style.setProperty("--strength", strength);
        put(cell.firstElementChild, shown);
      };
      // See `_cell` in broken_loss.py.
      const draw = (name, values, stopped, digits, full) => lines[name].forEach((cell, i) => {
        const value = values ? values[i] : 0;
        const strength = fixed(Number.isNaN(value) ? 0.3 : Math.min(1, Math.abs(value) / full), 2);
        if (values === null) set(cell, "hidden", "–", strength);
        else if (!counts[i] && stopped && value === 0) set(cell, "hidden", "0", strength);
        else set(cell, (counts[i] ? "real" : stopped ? "leak" : "pad") + (Number.isNaN(value) ? " nan" : ""), text(value, digits), strength);
      });
      draw("error", error, false, 1, 2);
      draw("first", result.first, state.way === SELECT_FIRST, 2, 2.5);
      draw("second", result.second, true, 2, 2.5);
      draw("gradient", result.gradient, true, 2, 1);
      lines.mask.forEach((cell, i) => {
        const kind = counts[i] ? "real" : "padding";
        set(cell, counts[i] ? "real" : "pad", counts[i] ? "1" : "0", "0.85");
        cell.setAttribute("aria-selected", String(counts[i]));
        cell.setAttribute("aria-label", `dim ${i + 1}, ${kind}`);
        lines.error[i].setAttribute("aria-selected", String(isNan[i]));
        lines.error[i].setAttribute("aria-label", `dim ${i + 1}, ${kind}, error ${text(error[i], 1)}`);
      });
      const named = { first: steps[state.way][0], second: steps[state.way][1], gradient: "gradient" };
      Object.entries(named).forEach(([name, label]) => {
        const row = find(`[data-line="${name}"]`);
        put(row.previousElementSibling.firstElementChild, label);
        const values = lines[name].map((cell) => cell.textContent).join(", ");
        row.firstElementChild.setAttribute("aria-label", `${label}: ${values}`);
      });

      const { divisor, loss, right, of_weight, right_of_weight } = result;
      const refused = divisor === null;
      const shown = refused ? "error" : text(loss, 2);
      const should = right === null ? "error" : text(right, 2);
      const slope = refused ? "none" : text(of_weight, 2);
      const slopeShould = right === null ? "none" : text(right_of_weight, 2);
      const by = refused ? "0" : fixed(divisor, Number.isInteger(divisor) ? 0 : 6);
      const an = should === "error" ? "an error" : should;
      put(find(".sum"), `Σ ${text(result.summed, 2)} ÷ ${by}`);
      put(find(".loss"), shown);
      put(find(".should"), shown === should ? "as it should be" : `should be ${an}`);
      put(find(".of-weight"), slope);
      put(find(".should-weight"), slope === slopeShould ? "as it should be"
        : slopeShould === "none" ? "should be an error" : `should be ${slopeShould}`);
      [[".loss", shown !== should], [".should", shown !== should], [".of-weight", slope !== slopeShould],
        [".should-weight", slope !== slopeShould]].forEach(([selector, wrong]) => find(selector).classList.toggle("wrong", wrong));
      const said = verdict(result, counts, isNan, refusal);
      put(find(".verdict"), said);
      put(find(".live-said"), (refused ? "There is no loss and no gradient, as it should be. "
        : `The loss is ${shown}${shown === should ? ", as it should be" : ` and should be ${an}`}. `
          + `The gradient of a shared bias is ${slope}${slope === slopeShould ? ", as it should be"
            : slopeShould === "none" ? ", and there should be an error" : ` and should be ${slopeShould}`}. `)
        + said);
    };
  },
};
