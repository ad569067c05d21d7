// The front end of `explore`. It makes nothing and computes nothing: Python has drawn one state and sent the numbers of all;
// here a control moves, the state's numbers are looked up and put into the elements that are there.
// In a live kernel anywidget calls `render`. On a static page the book's build calls `hydrate` on each `.explore`.

const show = (value, digits) => value.toFixed(digits);
const part = (value, low, high) => Math.min(1, Math.max(0, (value - low) / (high - low)));
const unpacked = (rows) => rows.join("").replace(/(\D)(\d+)/g, (_, letter, count) => letter.repeat(count));
const wide = (fraction) => `${+(100 * fraction).toPrecision(4)}%`;

// One function for each kind of panel: find its elements once, return what puts a state's numbers into them.
const movers = {
  number(el, panel) {
    const [box, number, beside] = [".explore-number", "strong", "span"].map((name) => el.querySelector(name));
    return ([value, shouldBe, words]) => {
      number.textContent = show(value, panel.digits);
      beside.textContent = words;
      box.classList.toggle("wrong", shouldBe !== null && shouldBe !== value);
    };
  },

  bars(el, panel) {
    const rows = [...el.querySelectorAll("tr")].map((row) => [row.querySelector("i"), row.lastElementChild]);
    return (values) => rows.forEach(([bar, text], i) => {
      bar.style.width = wide(part(values[i], 0, panel.maximum));
      text.textContent = show(values[i], panel.digits);
    });
  },

  kinds(el, panel) {
    const cells = [...el.querySelectorAll("tbody td")];
    const count = present(el, panel.legend);
    let before = "";
    return (rows) => {
      const letters = unpacked(rows);
      cells.forEach((cell, i) => {
        if (letters[i] !== before[i]) [cell.className, cell.textContent] = panel.legend[letters[i]];
      });
      if (letters !== before) count(letters);
      before = letters;
    };
  },

  heat(el, panel) {
    const cells = [...el.querySelectorAll("tbody td")];
    let [before, kinds] = [[], ""];
    return ([rows, runs]) => {
      const [values, letters] = [rows.flat(), runs ? unpacked(runs) : ""];
      cells.forEach((cell, i) => {
        if (letters[i] !== kinds[i]) cell.className = `heat ${panel.legend[letters[i]][0]}`;
        if (values[i] === before[i]) return; // what stays costs nothing: it is not laid out or painted again
        cell.style.setProperty("--part", part(values[i], panel.low, panel.high));
        cell.textContent = show(values[i], panel.digits);
      });
      [before, kinds] = [values, letters];
    };
  },

  lines(el, panel) {
    const drawn = [...el.querySelectorAll(".explore-lines polyline")];
    const names = [...el.querySelectorAll(".explore-names span")];
    const rows = [...el.querySelectorAll("tbody tr")];
    const left = panel.x.map((x) => 100 * part(x, panel.x[0], panel.x.at(-1)));
    return ([curves, tops]) => curves.forEach((values, c) => {
      const points = values.map((value, i) => `${left[i]},${50 - 50 * part(value, panel.low, panel.high)}`);
      drawn[c].setAttribute("points", points.join(" "));
      names[c].style.top = `${tops[c]}%`;
      values.forEach((value, i) => { rows[i].cells[c + 1].textContent = show(value, panel.digits); });
    });
  },

  table(el, panel) {
    const rows = [...el.querySelectorAll("tbody tr")];
    return (values) => values.forEach((cells, r) => cells.forEach((value, c) => {
      const { kind, digits, wrong } = panel.columns[c];
      const cell = rows[r].cells[c];
      const words = typeof value === "string";
      if (kind === "share") {
        cell.querySelector("i").style.width = wide(value);
        cell.querySelector(".part").textContent = `${show(100 * value, digits)} %`;
      } else cell.textContent = words ? value : show(value, digits);
      cell.classList.toggle("wrong", wrong === true || (Array.isArray(wrong) && wrong.includes(value)));
    }));
  },
};

// The kinds that occur in a map, with the number of their cells.
function present(el, legend) {
  const items = [...el.querySelectorAll(".explore-present li")];
  return (letters) => Object.keys(legend).forEach((letter, i) => {
    const count = letters.split(letter).length - 1;
    items[i].hidden = !count;
    items[i].querySelector("b").textContent = count;
  });
}

// One function for each kind of input: `changed` is told the new position, and what comes back sets the position.
function connect(el, control, changed) {
  const select = el.querySelector("select");
  const range = el.querySelector("input[type=range]");
  const radios = [...el.querySelectorAll("input[type=radio]")];
  if (select) {
    select.addEventListener("change", () => changed(select.selectedIndex));
    return (position) => { select.selectedIndex = position; };
  }
  if (range) {
    const text = el.querySelector("output");
    range.addEventListener("input", () => changed(Number(range.value)));
    return (position) => {
      range.value = position;
      text.textContent = control.shown[position];
      range.setAttribute("aria-valuetext", control.shown[position]);
    };
  }
  if (radios.length) {
    // Radio buttons belong together by name. No two groups of a page may share one, and each live widget has a copy of
    // this module to itself, so that counting would not do.
    const group = `explore-${Math.random()}`;
    radios.forEach((radio, i) => {
      radio.name = group;
      radio.addEventListener("change", () => changed(i));
    });
    return (position) => radios.forEach((radio, i) => { radio.checked = i === position; });
  }
  const box = el.querySelector("input[type=checkbox]");
  box.addEventListener("change", () => changed(Number(box.checked)));
  return (position) => { box.checked = position === 1; };
}

// Point at a cell or a curve, or walk over the cells with the arrow keys, and a line beside it says what is there.
function pointing(root, data, stateNow) {
  const said = root.querySelector(".explore-point");
  const panels = [...root.querySelectorAll(".explore-panel")];
  const grids = [...root.querySelectorAll(".explore-grid")].map((grid) => [...grid.querySelectorAll("tbody td")]);
  let here = null; // what is pointed at: its sentence and its place on the screen

  const say = () => {
    said.hidden = !here;
    if (here && said.textContent !== here.sentence()) said.textContent = here.sentence();
  };

  // Above what is pointed at, or below it where there is no room; and never over the edge of the widget.
  const place = () => {
    if (!here) return;
    const [outside, box] = [root.getBoundingClientRect(), here.box()];
    const [width, height] = [said.offsetWidth, said.offsetHeight];
    const left = Math.min(Math.max(box.left + box.width / 2 - width / 2, outside.left), outside.right - width);
    const above = box.top - height - 6;
    said.style.left = `${left - outside.left - root.clientLeft}px`;
    said.style.top = `${(above > 0 ? above : box.bottom + 6) - outside.top - root.clientTop}px`;
  };

  const panelOf = (el) => panels.indexOf(el.closest(".explore-panel"));

  const atCell = (cell) => {
    const panel = data.panels[panelOf(cell)];
    const cells = grids.find((grid) => grid.includes(cell));
    const at = cells.indexOf(cell);
    const [row, column] = [Math.floor(at / panel.columns.length), at % panel.columns.length];
    const where = [...groupOf(panel.groups, row), panel.rows[row], panel.columns[column]].join(", ");
    const words = () => {
      if (panel.panel === "kinds" || !panel.legend) return cell.textContent;
      const runs = stateNow()[panelOf(cell)][1];
      return `${cell.textContent}, ${panel.legend[unpacked(runs)[at]][1]}`;
    };
    return { sentence: () => `${where}: ${words()}`, box: () => cell.getBoundingClientRect() };
  };

  const atCurve = (picture, clientX) => {
    const number = panelOf(picture);
    const panel = data.panels[number];
    const frame = picture.getBoundingClientRect();
    const x = panel.x[0] + ((clientX - frame.left) / frame.width) * (panel.x.at(-1) - panel.x[0]);
    const nearest = panel.x.reduce((best, value, i) => (Math.abs(value - x) < Math.abs(panel.x[best] - x) ? i : best), 0);
    const left = frame.width * part(panel.x[nearest], panel.x[0], panel.x.at(-1));
    return {
      sentence: () => {
        const values = panel.names.map((name, c) => `${name} ${show(stateNow()[number][0][c][nearest], panel.digits)}`);
        return `${panel.x_name} ${panel.x[nearest]}: ${values.join(", ")}`;
      },
      box: () => {
        const now = picture.getBoundingClientRect();
        return { left: now.left + left, width: 0, top: now.top, bottom: now.bottom };
      },
    };
  };

  const go = (next) => {
    here = next;
    if (here) said.setAttribute("aria-live", "polite"); // from now on the reader asks; before, all would speak up
    say();
    place();
  };

  const point = (event) => {
    const cell = event.target.closest(".explore-grid tbody td");
    const picture = event.target.closest(".explore-lines");
    if (cell) go(atCell(cell));
    else if (picture) go(atCurve(picture, event.clientX));
    else if (here) go(null);
  };

  const walk = (event) => {
    if (event.key === "Escape" && here) go(null);
    const cell = event.target.closest(".explore-grid tbody td");
    if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
    const cells = grids.find((grid) => grid.includes(cell));
    const wide = data.panels[panelOf(cell)].columns.length;
    const [at, last] = [cells.indexOf(cell), cells.length - wide];
    const column = at % wide;
    const to = {
      ArrowUp: at - wide,
      ArrowDown: at + wide,
      ArrowLeft: column ? at - 1 : -1,
      ArrowRight: column < wide - 1 ? at + 1 : -1,
      Home: at - column,
      End: at - column + wide - 1,
      PageUp: column,
      PageDown: last + column,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = cells[to];
    if (!next) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };

  root.addEventListener("pointerover", point);
  root.addEventListener("pointermove", (event) => { if (event.target.closest(".explore-lines")) point(event); });
  root.addEventListener("pointerleave", () => go(null));
  root.addEventListener("focusin", (event) => { if (event.target.closest(".explore-grid")) point(event); });
  root.addEventListener("focusout", (event) => { if (event.target.closest(".explore-grid")) go(null); });
  root.addEventListener("keydown", walk);
  grids.forEach(([first]) => { first.tabIndex = 0; });
  return say;
}

// The name of the group to which a row belongs, in a list; an empty list if the rows have no groups.
function groupOf(groups, row) {
  let end = 0;
  for (const [name, size] of groups ?? []) {
    end += size;
    if (row < end) return [name];
  }
  return [];
}

function hydrate(root, moved = () => {}) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const fieldset = root.querySelector(".explore-controls");
  const said = root.querySelector(".explore-said");
  const panels = [...root.querySelectorAll(".explore-panel")];
  const movePanel = panels.map((el, i) => movers[data.panels[i].panel](el, data.panels[i]));
  const moveControl = data.controls.map((control, i) => connect(fieldset.children[i], control, (position) => {
    const next = [...positions];
    next[i] = position;
    go(next);
    moved(next);
  }));
  let positions = [];
  let state = [];
  const say = pointing(root, data, () => state);

  const inWords = {
    number: ([value, , beside], { digits }) => [show(value, digits), ...(beside ? [beside] : [])].join(", "),
    bars: (values, { labels, digits }) => labels.map((label, i) => `${label} ${show(values[i], digits)}`).join(", "),
  };
  const wordsOf = (kind) => data.panels.flatMap((panel, i) => (
    panel.panel === kind ? `${panel.title} ${inWords[kind](state[i], panel)}` : []));

  function go(next) {
    positions = next;
    state = data.states[data.controls.reduce((sum, control, i) => sum * control.shown.length + positions[i], 0)];
    moveControl.forEach((move, i) => move(positions[i]));
    movePanel.forEach((move, i) => move(state[i]));
    const where = data.controls.map((control, i) => `${control.label}: ${control.shown[positions[i]]}`).join(", ");
    const what = wordsOf("number").length ? wordsOf("number") : wordsOf("bars");
    const words = what.length ? `${where}. ${what.join("; ")}.` : `${where}.`;
    if (said.textContent !== words) said.textContent = words;
    say();
  }

  fieldset.disabled = false;
  root.classList.add("explore-live");
  go(data.start);
  return go;
}

function render({ model, el }) {
  el.innerHTML = model.get("_html");
  // Else JupyterLab takes the arrow keys for its own shortcuts; it looks for this on the very element that has the focus.
  el.querySelectorAll("input, select, td").forEach((field) => { field.dataset.lmSuppressShortcuts = "true"; });
  const go = hydrate(el.querySelector(".explore"), (positions) => {
    model.set("positions", positions);
    model.save_changes();
  });
  const follow = () => go(model.get("positions"));
  follow();
  model.on("change:positions", follow);
  return () => model.off("change:positions", follow);
}

export default { render };
