// From noise to action in the reader's hands: drag the flow time, and choose what the sampler puts into padded dims.
import { chips, draggable, fixed, put, slider, tries } from "../../show/live.js";

const mean = (values) => values.reduce((total, value) => total + value, 0) / values.length;

// See `interpolate` in noise_to_action.py: one dim of every sample, at one flow time.
function interpolate({ noise, actions, t }) {
  return noise.map((start, i) => (1 - t) * start + t * actions[i]);
}

// See `held` in noise_to_action.py: what a padded dim holds in the sampler.
function held({ noise, drift, sampler, t }) {
  const steps = drift.length - 1;
  const step = Math.min(Math.floor(t * steps), steps - 1);
  return {
    free: () => interpolate({ noise: drift[step], actions: drift[step + 1], t: t * steps - step }),
    "kept noise": () => noise,
    zeros: () => noise.map(() => 0),
    "as trained": () => interpolate({ noise, actions: noise.map(() => 0), t }),
  }[sampler]();
}

function spread(values) {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

// See `noise_to_action` in noise_to_action.py.
function noise_to_action({ noise, drift, sampler, t }) {
  const shown = held({ noise, drift, sampler, t });
  const trained = interpolate({ noise, actions: noise.map(() => 0), t });
  return {
    in_training: spread(trained),
    in_sampler: spread(shown),
    apart: Math.sqrt(mean(shown.map((value, i) => (value - trained[i]) ** 2))),
  };
}

export const picture = {
  twins: { interpolate, held, noise_to_action },

  wire(root, { noise, actions, drift, plane, chart, names, notices }, change) {
    const find = (selector) => root.querySelector(selector);
    const all = (selector) => [...root.querySelectorAll(selector)];
    const round = (t) => Math.round(20 * t) / 20; // as the slider's steps are
    const [left, right] = all("svg");
    const each = (selector) => [...left.querySelectorAll(selector)];
    const [trained, sampled, misses] = [each(".trained"), each(".sampled"), each(".miss")];
    const choose = chips(find('[data-control="sampler"]'), (sampler) => change({ sampler }));
    const move = slider(find(".slider"), (t) => change({ t: round(t) }), (t) => fixed(t, 2));
    draggable(find(".grip"), find(".frame"), (across) => change({ t: round(across) }));
    tries(root, change);

    const place = (element, attributes) => {
      Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    };
    const px = (value) => value.toFixed(2);
    const onChart = (t, size) => [
      px(chart.left + chart.width * t),
      px(chart.top + chart.height * (1 - size / chart.most)),
    ];

    return ({ t, sampler }) => {
      choose(sampler);
      move(t);
      const shown = held({ noise: noise[1], drift, sampler, t });
      const [real, padded] = [0, 1].map((dim) => interpolate({ noise: noise[dim], actions: actions[dim], t }));
      real.forEach((value, i) => {
        const x = px(plane.x + plane.unit * value);
        const [y, there] = [padded[i], shown[i]].map((size) => px(plane.y - plane.unit * size));
        place(trained[i], { cx: x, cy: y });
        place(sampled[i], { transform: `translate(${x} ${there})` });
        place(misses[i], { x1: x, y1: y, x2: x, y2: there });
      });

      const report = noise_to_action({ noise: noise[1], drift, sampler, t });
      const [x, y] = onChart(t, report.in_training);
      const [, there] = onChart(t, report.in_sampler);
      const steps = drift.length - 1;
      const curve = drift.map((_, step) => {
        const at = noise_to_action({ noise: noise[1], drift, sampler, t: step / steps });
        return onChart(step / steps, at.in_sampler).join(" ");
      });
      place(right.querySelector(".sampled-curve"), { d: `M${curve.join("L")}` });
      place(right.querySelector(".now"), { d: find(".now").getAttribute("d").replace(/^M[\d.]+/, `M${x}`) });
      place(right.querySelector(".miss"), { x1: x, y1: y, x2: x, y2: there });
      place(right.querySelector(".sampled"), { transform: `translate(${x} ${there})` });
      all(".knob, .grip").forEach((circle) => place(circle, { cx: x, cy: y }));
      const [nameAt, nameSize, name] = names[sampler];
      const [nameX, nameY] = onChart(nameAt, nameSize);
      place(find(".sampler-name"), { x: nameX, y: nameY });
      put(find(".sampler-name"), name);

      const [inTraining, inSampler, apart] = [report.in_training, report.in_sampler, report.apart].map((size) => fixed(size, 2));
      const wrong = apart !== "0.00";
      const noticeOf = () => {
        if (wrong || sampler === "as trained") return sampler;
        return t < 0.5 ? "start" : "end";
      };
      const notice = notices[noticeOf()];
      find(".flow-plots").classList.toggle("misses", wrong);
      find(".flow-plots").classList.toggle("unlike", sampler !== "as trained"); // at some flow time, though not at each
      [find(".sampled-size"), find(".off")].forEach((element) => element.classList.toggle("wrong", wrong));
      put(find(".trained-size"), inTraining);
      put(find(".sampled-size"), inSampler);
      const should = inSampler === inTraining ? "the right size, but other numbers" : `${Number(inSampler) < Number(inTraining) ? "smaller" : "larger"} than in training`;
      put(find(".off"), wrong ? should : "as in training");
      put(find(".live-readout"), notice);
      put(find(".live-said"), `At flow time ${fixed(t, 2)}, the padded dim holds numbers of size ${inTraining} in training and `
        + `${inSampler} in this sampler; ${wrong ? `sample by sample, the two are ${apart} apart` : "the two are the same"}. ${notice}`);
    };
  },
};
