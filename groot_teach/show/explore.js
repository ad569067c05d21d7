// The front end of `explore`. It makes nothing and computes nothing: Python has drawn one state and sent the numbers of all;
// here a control moves, the state's numbers are looked up and put into the elements that are there.
// In a live kernel anywidget calls `render`. On a static page the book's build calls `hydrate` on each `.explore`.

const show = (value, digits) => value.toFixed(digits);
const part = (value, low, high) => Math.min(1, Math.max(0, (value - low) / (high - low)));

// One function for each kind of panel: find its elements once, return what puts a state's numbers into them.
const movers = {
  number(el, panel) {
    const number = el.querySelector(".explore-number");
    return (value) => { number.textContent = show(value, panel.digits); };
  },

  bars(el, panel) {
    const rows = [...el.querySelectorAll("tr")].map((row) => [row.querySelector("span"), row.lastElementChild]);
    return (values) => rows.forEach(([bar, text], i) => {
      bar.style.width = `${100 * part(values[i], 0, panel.maximum)}%`;
      text.textContent = show(values[i], panel.digits);
    });
  },

  kinds(el, panel) {
    const cells = [...el.querySelectorAll("td")];
    let before = "";
    return (rows) => {
      const letters = rows.join("").replace(/(\D)(\d+)/g, (_, letter, count) => letter.repeat(count));
      cells.forEach((cell, i) => {
        if (letters[i] === before[i]) return;
        [cell.className] = panel.legend[letters[i]];
        cell.textContent = letters[i];
      });
      before = letters;
    };
  },

  heat(el, panel) {
    const cells = [...el.querySelectorAll("td")];
    return (rows) => rows.flat().forEach((value, i) => {
      cells[i].style.setProperty("--part", part(value, panel.low, panel.high));
      cells[i].textContent = show(value, panel.digits);
    });
  },

  lines(el, panel) {
    const drawn = [...el.querySelectorAll(".explore-lines polyline")];
    const rows = [...el.querySelectorAll("tbody tr")];
    const left = panel.x.map((x) => 100 * part(x, panel.x[0], panel.x.at(-1)));
    return (curves) => curves.forEach((values, c) => {
      const points = values.map((value, i) => `${left[i]},${50 - 50 * part(value, panel.low, panel.high)}`);
      drawn[c].setAttribute("points", points.join(" "));
      values.forEach((value, i) => { rows[i].cells[c + 1].textContent = show(value, panel.digits); });
    });
  },

  table(el, panel) {
    const rows = [...el.querySelectorAll("tbody tr")];
    return (values) => values.forEach((cells, r) => cells.forEach((cell, c) => {
      rows[r].cells[c].textContent = typeof cell === "string" ? cell : show(cell, panel.digits);
    }));
  },
};

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
    const text = el.querySelector("span");
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

// Point at a cell or a curve, or walk over the cells with the arrow keys, and the line below says what stands there.
function pointing(root, data, stateNow) {
  const said = root.querySelector(".explore-point");
  const panels = [...root.querySelectorAll(".explore-panel")];
  const grids = [...root.querySelectorAll(".explore-grid")];
  let sentence = () => (grids.length ? "Point at a cell, or walk over the cells with Tab and the arrow keys." : "");

  const say = () => { if (said.textContent !== sentence()) said.textContent = sentence(); };
  const panelOf = (el) => panels.indexOf(el.closest(".explore-panel"));

  const cellSentence = (cell) => {
    const panel = data.panels[panelOf(cell)];
    const [row, column] = [cell.parentNode.rowIndex, cell.cellIndex];
    return () => {
      const what = panel.panel === "kinds" ? panel.legend[cell.textContent][1] : cell.textContent;
      return `${panel.title}: ${panel.rows} ${row}, ${panel.columns} ${column}: ${what}`;
    };
  };

  const curveSentence = (picture, clientX) => {
    const place = panelOf(picture);
    const panel = data.panels[place];
    const box = picture.getBoundingClientRect();
    const x = panel.x[0] + ((clientX - box.left) / box.width) * (panel.x.at(-1) - panel.x[0]);
    const nearest = panel.x.reduce((best, value, i) => (Math.abs(value - x) < Math.abs(panel.x[best] - x) ? i : best), 0);
    return () => {
      const values = panel.names.map((name, c) => `${name} ${show(stateNow()[place][c][nearest], panel.digits)}`);
      return `${panel.title}: ${panel.x_name} ${panel.x[nearest]}: ${values.join(", ")}`;
    };
  };

  const point = (event) => {
    const cell = event.target.closest(".explore-grid td");
    const picture = event.target.closest(".explore-lines");
    if (cell) sentence = cellSentence(cell);
    else if (picture) sentence = curveSentence(picture, event.clientX);
    else return;
    said.setAttribute("aria-live", "polite"); // from now on the reader asks; before, three widgets would all speak up
    say();
  };

  const walk = (event) => {
    const cell = event.target.closest(".explore-grid td");
    if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
    const { rows } = cell.closest("table");
    const [row, column] = [cell.parentNode.rowIndex, cell.cellIndex];
    const to = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [row, 0],
      End: [row, rows[row].cells.length - 1],
      PageUp: [0, column],
      PageDown: [rows.length - 1, column],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    const next = rows[to[0]]?.cells[to[1]];
    if (!next) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };

  root.addEventListener("pointerover", point);
  root.addEventListener("pointermove", (event) => { if (event.target.closest(".explore-lines")) point(event); });
  root.addEventListener("focusin", point);
  root.addEventListener("keydown", walk);
  grids.forEach((grid) => { grid.rows[0].cells[0].tabIndex = 0; });
  return say;
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

  function go(next) {
    positions = next;
    state = data.states[data.controls.reduce((sum, control, i) => sum * control.shown.length + positions[i], 0)];
    moveControl.forEach((move, i) => move(positions[i]));
    movePanel.forEach((move, i) => move(state[i]));
    const where = data.controls.map((control, i) => `${control.label}: ${control.shown[positions[i]]}`).join(", ");
    const what = data.panels.flatMap((panel, i) => (panel.panel === "number" ? `${panel.title} ${show(state[i], panel.digits)}` : []));
    const words = what.length ? `${where}. ${what.join(", ")}.` : `${where}.`;
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
    model.set("_positions", positions);
    model.save_changes();
  });
  const follow = () => go(model.get("_positions"));
  follow();
  model.on("change:_positions", follow);
  return () => model.off("change:_positions", follow);
}

export default { render };
