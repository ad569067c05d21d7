// Six stages and seven doors: open and shut the leaks of a policy and see how far padding travels.
import { chips, fixed, put, toggle, tries } from "../../show/live.js";

// See `six_doors` in six_doors.py. `doors` has the position of each switch; the numbers were computed by torch.
function six_doors({ parts, doors, leaks, positions, depends, moved, counts }) {
  const open = leaks.filter((leak) => doors[leak.switch] in leak.leaks).map((leak) => leak.name);
  const [encoder, step, mixing, context, count, rollout] = ["input", "step", "mixing", "context", "denominator", "rollout"]
    .map((name) => open.includes(`${name} leak`));
  const known = positions[parts];
  const number = (name) => {
    const place = (sum, door) => sum * known[door].length + known[door].indexOf(doors[door]);
    return moved[parts][name][depends[name].reduce(place, 0)];
  };
  const [predictions, loss, actions] = ["predictions", "loss", "actions"].map(number);
  const read = mixing || context;
  const lines = {
    actions: "pad",
    encoded: encoder ? "leak" : "blank",
    tokens: "pad",
    mixed: mixing ? "leak" : "pad",
    read: read ? "leak" : "none",
    predicted: encoder || read ? "leak" : "blank",
    sampled: (encoder && rollout) || read ? "leak" : "blank",
  };
  const silent = () => {
    if (step) return "blank";
    if (count) return "count";
    return rollout ? "drift" : "none";
  };
  const notice = () => {
    if (!predictions) return loss || actions ? "loss" : silent();
    if (!actions) return "training";
    if (mixing && !context && !encoder) return "mixed";
    return 4 * loss < predictions ? "quiet" : "loud";
  };
  return {
    leaks: open,
    lines,
    predictions,
    loss,
    actions,
    divisor: counts[parts][doors.loss_denominator === "all" ? "all" : doors.loss],
    recorded: counts[parts].dims_and_steps,
    notice: notice(),
  };
}

const share = (value) => (value ? `${fixed(100 * value, 1)}\u00a0%` : "0\u00a0%");
const grouped = (count) => count.toLocaleString("en-US");

function divided({ divisor, recorded }) {
  if (divisor === recorded) return `The loss divides by the ${recorded} recorded entries.`;
  return `The loss divides by ${grouped(divisor)} entries, and only ${recorded} of them are recorded.`;
}

// A version without one of the stages has fewer doors.
function opened(leaks, doors) {
  if (!leaks.length) return "no door is open.";
  const there = 7 - Object.values(doors).filter((position) => position === "absent").length;
  return `${leaks.length} of ${there} doors ${leaks.length > 1 ? "are" : "is"} open, ${leaks.join(", ")}.`;
}

export const picture = {
  twins: { six_doors },

  wire(root, constants, change, now) {
    const { leaks, choices, positions, notices, most } = constants;
    const find = (selector) => root.querySelector(selector);
    // The loss of N1.6 and N1.7 divides by the count + 1e-6: for the eye that is the same setting.
    const sameDoors = (some, others) => leaks.every(({ switch: door }) => {
      const [one, other] = [some[door], others[door]].map((position) => position.replace("_plus_eps", ""));
      return one === other;
    });
    const nameOf = ({ parts, doors }) => Object.keys(choices)
      .find((name) => choices[name].parts === parts && sameDoors(choices[name].doors, doors)) ?? "your own";
    const choose = chips(find('[data-control="version"]'), (name) => change(choices[name] ?? {}));
    // A switch moves to the version's own position where that is on the wanted side, else to the first one there is.
    const moves = leaks.map((leak) => {
      const box = find(`[data-switch="${leak.switch}"]`);
      const set = toggle(box.querySelector("label"), (open) => {
        const { parts, doors } = now();
        const side = Object.keys(open ? leak.leaks : leak.holds);
        const own = choices[parts].doors[leak.switch];
        change({ doors: { ...doors, [leak.switch]: side.includes(own) ? own : side[0] } });
      });
      return { leak, set, box };
    });
    tries(root, change);

    return (state) => {
      const report = six_doors({ ...state, ...constants });
      choose(nameOf(state));
      moves.forEach(({ leak, set, box }) => {
        const position = state.doors[leak.switch];
        const open = position in leak.leaks;
        set(open);
        box.querySelector("input").disabled = positions[state.parts][leak.switch].length < 2;
        const does = box.querySelector(".does");
        put(does, (open ? leak.leaks : leak.holds)[position]);
        does.classList.toggle("wrong", open);
        box.parentElement.classList.toggle("absent", position === "absent");
      });
      root.querySelectorAll(".stage").forEach((stage) => {
        const open = stage.querySelector("input:checked") !== null;
        stage.classList.toggle("leaks", open);
        stage.classList.toggle("holds", !open);
        const absent = stage.classList.contains("absent");
        put(stage.querySelector("em"), absent ? "absent" : open ? "open" : "shut");
      });
      root.querySelectorAll(".pipe").forEach((pipe) => { pipe.lastElementChild.className = report.lines[pipe.dataset.line]; });
      root.querySelectorAll("[data-number]").forEach((place) => {
        const value = report[place.dataset.number];
        const [moved, should] = [".moved", ".should"].map((name) => place.querySelector(name));
        put(moved, share(value));
        const tooSmall = place.dataset.number === "loss" && report.leaks.includes("denominator leak");
        const right = tooSmall ? "but the loss is too small" : "as it should be";
        put(should, value ? "should be 0\u00a0%" : right);
        moved.classList.toggle("wrong", value !== 0);
        should.classList.toggle("wrong", value !== 0 || tooSmall);
        place.querySelector(".bar > i").style.width = `${fixed((100 * value) / most, 2)}%`;
      });
      const { divisor, recorded } = report;
      put(find(".divisor"), report.leaks.includes("denominator leak") ? `÷ ${grouped(divisor)}, not ${recorded}` : "");
      put(find(".live-readout"), notices[report.notice]);
      put(find(".live-said"), `${nameOf(state)}: ${opened(report.leaks, state.doors)} Garbling the padding moves the predictions by `
        + `${share(report.predictions)}, the loss by ${share(report.loss)} and the robot's actions by ${share(report.actions)}; `
        + `all should be 0\u00a0%. ${notices[report.notice]} ${divided(report)}`);
    };
  },
};
