// The front end of `explore`. It makes nothing and computes nothing: Python has drawn one state and sent the numbers of all;
// here a control moves, the state's numbers are looked up and put into the elements that are there.
// In a live kernel anywidget calls `render`. On a static page the book's build calls `hydrate` on each `.explore`.

const show = (value, digits) => value.toFixed(digits);

// One function for each kind of panel: find its elements once, return what puts a state's numbers into them.
const movers = {
  number(el, panel) {
    const output = el.querySelector("output");
    return (value) => { output.textContent = show(value, panel.digits); };
  },

  bars(el, panel) {
    const rows = [...el.querySelectorAll("tr")].map((row) => [row.querySelector("span"), row.lastElementChild]);
    return (values) => rows.forEach(([bar, text], i) => {
      bar.style.width = `${(100 * values[i]) / panel.maximum}%`;
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
        [cell.className, cell.textContent] = panel.legend[letters[i]];
      });
      before = letters;
    };
  },

  heat(el, panel) {
    const cells = [...el.querySelectorAll("td")];
    return (rows) => rows.flat().forEach((value, i) => {
      cells[i].style.setProperty("--part", (value - panel.low) / (panel.high - panel.low));
      cells[i].textContent = show(value, panel.digits);
    });
  },

  lines(el, panel) {
    const drawn = [...el.querySelectorAll("polyline")];
    const rows = [...el.querySelectorAll("tbody tr")];
    const [first, last] = [panel.x[0], panel.x.at(-1)];
    const left = (x) => (100 * (x - first)) / (last - first);
    const top = (value) => 50 - (50 * (value - panel.low)) / (panel.high - panel.low);
    return (curves) => curves.forEach((values, c) => {
      drawn[c].setAttribute("points", values.map((value, i) => `${left(panel.x[i])},${top(value)}`).join(" "));
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

let groups = 0; // radio buttons belong together by name, and no two widgets may share one

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
    const output = el.querySelector("output");
    range.addEventListener("input", () => changed(Number(range.value)));
    return (position) => {
      range.value = position;
      output.textContent = control.shown[position];
      range.setAttribute("aria-valuetext", control.shown[position]);
    };
  }
  if (radios.length) {
    groups += 1;
    radios.forEach((radio, i) => {
      radio.name = `explore-${groups}`;
      radio.addEventListener("change", () => changed(i));
    });
    return (position) => radios.forEach((radio, i) => { radio.checked = i === position; });
  }
  const box = el.querySelector("input[type=checkbox]");
  box.addEventListener("change", () => changed(Number(box.checked)));
  return (position) => { box.checked = position === 1; };
}

// Point at a cell of a grid, or walk over the cells with the arrow keys, and the line below says what stands there.
function pointing(root, data) {
  const said = root.querySelector(".explore-point");
  const panels = [...root.querySelectorAll(".explore-panel")];
  const point = (event) => {
    const cell = event.target.closest(".explore-grid td");
    if (!cell) return;
    const panel = data.panels[panels.indexOf(cell.closest(".explore-panel"))];
    const [row, column] = [cell.parentNode.rowIndex, cell.cellIndex];
    said.textContent = `${panel.title}: ${panel.rows} ${row}, ${panel.columns} ${column}: ${cell.textContent}`;
  };
  const walk = (event) => {
    const cell = event.target.closest(".explore-grid td");
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!cell || !step) return;
    event.preventDefault();
    const next = cell.closest("table").rows[cell.parentNode.rowIndex + step[0]]?.cells[cell.cellIndex + step[1]];
    if (!next) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };
  root.addEventListener("pointerover", point);
  root.addEventListener("focusin", point);
  root.addEventListener("keydown", walk);
  const grids = [...root.querySelectorAll(".explore-grid")];
  grids.forEach((grid) => { grid.rows[0].cells[0].tabIndex = 0; });
  if (grids.length) said.textContent = "Point at a cell, or walk over the cells with Tab and the arrow keys.";
}

function hydrate(root, moved = () => {}) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const fieldset = root.querySelector(".explore-controls");
  const said = root.querySelector(".explore-said");
  const movePanel = [...root.querySelectorAll(".explore-panel")].map((el, i) => movers[data.panels[i].panel](el, data.panels[i]));
  const moveControl = data.controls.map((control, i) => connect(fieldset.children[i], control, (position) => {
    const next = [...positions];
    next[i] = position;
    go(next);
    moved(next);
  }));
  let positions = [];

  function go(next) {
    positions = next;
    const index = data.controls.reduce((sum, control, i) => sum * control.shown.length + positions[i], 0);
    const state = data.states[index];
    moveControl.forEach((move, i) => move(positions[i]));
    movePanel.forEach((move, i) => move(state[i]));
    const where = data.controls.map((control, i) => `${control.label}: ${control.shown[positions[i]]}`).join(", ");
    const what = data.panels.flatMap((panel, i) => (panel.panel === "number" ? `${panel.title} ${show(state[i], panel.digits)}` : []));
    said.textContent = what.length ? `${where}. ${what.join(", ")}.` : `${where}.`;
  }

  pointing(root, data);
  fieldset.disabled = false;
  root.classList.add("explore-live");
  go(data.start);
  return go;
}

function render({ model, el }) {
  el.innerHTML = model.get("_html");
  // Else JupyterLab takes the arrow keys for its own shortcuts; it looks for this on the very element that has the focus.
  el.querySelectorAll("input, select, td").forEach((part) => { part.dataset.lmSuppressShortcuts = "true"; });
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
