// One mask in many forms: paint what may be read, choose the form in which PyTorch is told, and see what it reads.
import { chips, fixed, paintable, percent, put, tries } from "../../show/live.js";

const sum = (values) => values.reduce((total, value) => total + value, 0);
const MODULE = "MultiheadAttention";
const INTEGERS = "1 and 0, integers";
const LOWEST = "0 and finfo.min";
const WRITTEN = {
  "True = read": [true, false],
  "True = hide": [false, true],
  "1.0 and 0.0": [1, 0],
  [INTEGERS]: [1, 0],
  "0 and −inf": [0, -Infinity],
  "0 and −10000": [0, -10000],
  [LOWEST]: [0, -Number.MAX_VALUE],
};
const hides = (bit, passed_to) => bit === (passed_to === MODULE);

// A softmax. Where all scores are minus infinity, PyTorch's function gives 0 and its module gives NaN.
function softmax(scores, of_nothing) {
  const highest = Math.max(...scores);
  if (highest === -Infinity) return scores.map(() => of_nothing);
  const read = scores.map((score) => Math.exp(score - highest));
  const total = sum(read);
  return read.map((amount) => amount / total);
}

// See `one_mask_many_forms` in one_mask_many_forms.py. `score`, `value` and `may_read` have one value for each token.
function one_mask_many_forms({ score, value, may_read, form, passed_to }) {
  const read = (weights) => sum(weights.map((weight, i) => weight * value[i]));
  const mask = may_read.map((readable) => WRITTEN[form][readable ? 0 : 1]);
  const moved = score.map((number, i) => {
    if (typeof mask[i] === "boolean") return hides(mask[i], passed_to) ? -Infinity : number;
    return number + mask[i];
  });
  const weights = form === INTEGERS ? null : softmax(moved, passed_to === MODULE ? NaN : 0);
  const right_weights = may_read.some(Boolean)
    ? softmax(score.map((number, i) => (may_read[i] ? number : -Infinity))) : null;
  return {
    mask,
    weights,
    on_hidden: weights && sum(weights.filter((_, i) => !may_read[i])),
    answer: weights && read(weights),
    right_weights,
    right: right_weights && read(right_weights),
  };
}

const orNaN = (value, text) => (Number.isNaN(value) ? "NaN" : text(value));
const share = (value) => orNaN(value, percent);
const tenth = (value) => orNaN(value, (number) => fixed(number, 1));
const part = (of) => `${fixed(100 * of, 2)}%`;

// One entry of the mask, as it is printed.
function written(bit, form) {
  if (typeof bit === "boolean") return bit ? "True" : "False";
  if (form === "1.0 and 0.0") return fixed(bit, 1);
  if (form === LOWEST && bit) return "−1.8e308";
  return bit === -Infinity ? "−inf" : fixed(bit, 0);
}

// Its dtype, and what PyTorch does with a mask of that dtype.
function taken(form, passed_to) {
  if (form === INTEGERS) return "int64, refused";
  if (typeof WRITTEN[form][0] === "boolean") return `bool, here True = ${passed_to === MODULE ? "hide" : "read"}`;
  return "float64, added";
}

// What became of the mask, in words.
function verdict({ weights, answer, mask }, may_read, form, passed_to, refusals, release) {
  const all = (test) => mask.every(test);
  if (weights === null) return `PyTorch refuses the mask, the best that can happen: ${refusals[passed_to]}`;
  const means = passed_to === MODULE
    ? "To the key_padding_mask of MultiheadAttention, True means hide"
    : "To the attn_mask of scaled_dot_product_attention, True means read";
  const gives = Number.isNaN(answer)
    ? `PyTorch gives NaN, or 0 with need_weights=False (${release}).`
    : `PyTorch gives 0 (${release}), where older releases gave NaN.`;
  const any = may_read.some(Boolean);
  if (typeof mask[0] === "boolean") {
    const upside_down = hides(mask[0], passed_to) === may_read[0];
    if (all((bit) => hides(bit, passed_to))) return `${any ? `${means}, so nothing` : "Nothing"} is left to read. ${gives}`;
    if (upside_down) return `${means}. ${any ? "The hidden words are read, and the others are not" : "Every word is read"}, and no error says so.`;
    return `${means}, so this mask is read as it was meant.`;
  }
  if (!any) {
    if (form === LOWEST) return "Nothing may be read, but beside such a number the scores vanish: all are equal, and the answer is the plain mean.";
    if (form === "0 and −inf") return `Nothing is left to read. ${gives}`;
    const added = form === "1.0 and 0.0" ? "0 was added to all scores" : "all scores moved alike";
    return `Nothing may be read, but ${added}, so the answer is the one without a mask.`;
  }
  if (may_read.every(Boolean)) return "Every word may be read, and the same number is added to all scores, which changes nothing.";
  if (form === "1.0 and 0.0") return "PyTorch adds a float mask to the scores. A word that should be hidden gets 0 more and not minus infinity, so it is read, and no error says so.";
  return "PyTorch adds a float mask to the scores. Far enough below the others, a word gets nothing of the attention.";
}

export const picture = {
  twins: { one_mask_many_forms },

  wire(root, { words, score, value, refusals, release }, change, now) {
    const find = (selector) => root.querySelector(selector);
    const row = (name) => find(`[data-line="${name}"]`);
    const cellsOf = (name) => [...row(name).querySelectorAll(".cell")];
    const [cells, masks, should] = ["words", "mask", "should"].map(cellsOf);
    const columns = [...row("weights").querySelectorAll(".reach")];
    const choose = ["passed_to", "form"].map((key) => {
      const set = chips(find(`[data-control="${key}"]`), (chosen) => change({ [key]: chosen }));
      return (state) => set(state[key]);
    });
    paintable(cells, words.length, (place) => now().painted[place] === "1", (place, on) => {
      change({ painted: now().painted.slice(0, place) + (on ? "1" : "0") + now().painted.slice(place + 1) });
    });
    tries(root, change);

    return (state) => {
      choose.forEach((set) => set(state));
      const { form, passed_to } = state;
      const may_read = [...state.painted].map((bit) => bit === "1");
      const result = one_mask_many_forms({ score, value, may_read, form, passed_to });
      const { mask, weights, on_hidden, answer, right_weights, right } = result;
      const refused = weights === null;
      const known = [...(weights ?? []), ...(right_weights ?? [])].filter((weight) => !Number.isNaN(weight));
      const scale = Math.max(...known) || 1;

      cells.forEach((cell, i) => {
        const reads = refused ? "no attention" : `${share(weights[i])} of the attention`;
        const shown = refused ? "–" : share(weights[i]);
        const wanted = right_weights ? share(right_weights[i]) : "–";
        const leaks = !may_read[i] && !refused && shown !== percent(0);
        const kind = may_read[i] ? "real" : leaks ? "leak" : "hidden";
        cell.className = `cell ${kind}`;
        cell.setAttribute("aria-selected", String(may_read[i]));
        cell.setAttribute("aria-label", `${words[i]}, ${may_read[i] ? "may be read" : "to be hidden"}, ${reads}`);
        put(masks[i].firstElementChild, written(mask[i], form));
        put(should[i].firstElementChild, wanted);
        const [number, column] = columns[i].children;
        put(number, shown);
        number.classList.toggle("wrong", !refused && shown !== (right_weights ? wanted : percent(0)));
        column.firstElementChild.className = kind;
        column.firstElementChild.style.height = part(refused || Number.isNaN(weights[i]) ? 0 : weights[i] / scale);
        column.lastElementChild.style.bottom = part(right_weights ? right_weights[i] / scale : 0);
        column.lastElementChild.hidden = right_weights === null;
      });
      put(row("mask").previousElementSibling.lastElementChild, taken(form, passed_to));
      Object.entries({ mask: "mask", should: "should be" }).forEach(([name, label]) => {
        const texts = cellsOf(name).map((cell) => cell.textContent).join(", ");
        row(name).firstElementChild.setAttribute("aria-label", `${label}: ${texts}`);
      });

      const hidden = refused ? "–" : share(on_hidden);
      const said = refused ? "an error" : tenth(answer);
      const wanted = tenth(right ?? 0);
      const compare = (selector, should_be, shown, is_wrong, text) => {
        put(find(selector), shown);
        put(find(should_be), text);
        [selector, should_be].forEach((name) => find(name).classList.toggle("wrong", is_wrong));
      };
      const leaks = !refused && hidden !== percent(0);
      const off = said !== wanted;
      compare(".on-hidden", ".should-hidden", hidden, leaks, refused ? "nothing is read" : leaks ? `should be ${percent(0)}` : right === null ? "" : "as you marked it");
      const decided = right === null ? "there is no right answer" : off ? `should be ${wanted}` : "as you marked it";
      compare(".answer", ".should-answer", said, off && !refused, refused ? "for its dtype" : decided);
      const decide = right === null && !refused ? " What should come out, 0 or an error, is for you to decide." : "";
      const words_of = verdict(result, may_read, form, passed_to, refusals, release) + decide;
      put(find(".verdict"), words_of);
      put(find(".live-said"), (refused ? "There is no answer. " : `${Number.isNaN(on_hidden) ? "The attention is NaN" : `${hidden} of the attention goes to hidden words`}. `
        + `The answer is ${said}${off && right !== null ? " and" : ","} ${decided}. `) + words_of);
    };
  },
};
