// The engine of the live pictures: what every picture needs to be touched, and nothing that belongs to one of them.
//
// A picture is a module of its own. It exports `picture`: { twins, wire }.
//   twins  pure functions from plain numbers to plain numbers. Each has a function of the same name in Python, computed
//          by torch, and a test compares the two over thousands of random states.
//   wire   (root, constants, change) => draw. It connects the elements that Python has drawn, calls `change` with the
//          part of the state that the reader moved, and returns the function that puts a state into the elements.
// Python draws the opening state, so a page without a script shows it too, and `draw` leaves an opening state as it is.

// The number with so many digits behind the point, halves away from zero, as Python's `fixed` writes it.
export const fixed = (value, digits) => value.toFixed(digits).replace("-", "−");
export const percent = (share) => `${fixed(100 * share, 0)} %`;

export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Radio buttons that look like chips. `changed` gets the value of the one that was chosen; what comes back chooses one.
export function chips(fieldset, changed) {
  const radios = [...fieldset.querySelectorAll("input")];
  const group = `chips-${Math.random()}`; // two pictures of one page must not share a group
  radios.forEach((radio) => {
    radio.name = group;
    radio.addEventListener("change", () => changed(radio.value));
  });
  return (value) => radios.forEach((radio) => { radio.checked = radio.value === value; });
}

export function toggle(label, changed) {
  const box = label.querySelector("input");
  box.addEventListener("change", () => changed(box.checked));
  return (on) => { box.checked = on; };
}

// A range. `said` writes the value for the eye and for screen readers.
export function slider(label, changed, said) {
  const range = label.querySelector("input");
  const output = label.querySelector("output");
  range.addEventListener("input", () => changed(Number(range.value)));
  return (value) => {
    range.value = value;
    put(output, said(value));
    range.setAttribute("aria-valuetext", said(value));
  };
}

// Buttons with settings worth trying: each holds the part of the state that it sets.
export function tries(root, change) {
  root.querySelectorAll(".try").forEach((button) => {
    button.addEventListener("click", () => change(JSON.parse(button.dataset.state)));
  });
}

// Cells that are painted. Press on one and drag over others: all get what the first one got. By keyboard the arrows
// move, the space bar paints one cell, and shift with an arrow paints on the way. A finger on the cells paints, a finger
// beside them scrolls the page. The last cells of a row may be hidden.
export function paintable(cells, columns, isOn, paint) {
  let brush = null;
  const at = (event) => cells.indexOf(document.elementFromPoint(event.clientX, event.clientY)?.closest(".cell"));
  const stroke = (place) => { if (place >= 0 && isOn(place) !== brush) paint(place, brush); };
  const focus = (place, by_pointer = false) => {
    cells.forEach((cell, i) => {
      cell.tabIndex = i === place ? 0 : -1;
      cell.toggleAttribute("data-pointed", by_pointer); // a pointer shows where it is, a key needs the ring
    });
    cells[place].focus({ preventScroll: true });
  };

  cells.forEach((cell, place) => {
    cell.style.touchAction = "none";
    cell.tabIndex = place ? -1 : 0;
    cell.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      cell.releasePointerCapture?.(event.pointerId);
      focus(place, true);
      brush = !isOn(place);
      stroke(place);
    });
    cell.addEventListener("blur", () => cell.removeAttribute("data-pointed"));
    cell.addEventListener("keydown", (event) => {
      cell.removeAttribute("data-pointed");
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === " " || event.key === "Enter") {
        event.preventDefault();
        paint(place, !isOn(place));
        return;
      }
      const column = place % columns;
      const next = {
        ArrowLeft: column ? place - 1 : place,
        ArrowRight: column < columns - 1 ? place + 1 : place,
        ArrowUp: place - columns,
        ArrowDown: place + columns,
        Home: place - column,
        End: cells.findLastIndex((cell, i) => !cell.hidden && i < place - column + columns),
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      if (!cells[next] || cells[next].hidden) return;
      if (event.shiftKey && isOn(next) !== isOn(place)) paint(next, isOn(place));
      focus(next);
    });
  });
  document.addEventListener("pointermove", (event) => { if (brush !== null) stroke(at(event)); });
  document.addEventListener("pointerup", () => { brush = null; });
  document.addEventListener("pointercancel", () => { brush = null; });
}

// Something that is dragged along or across the picture: `moved` gets the place of the pointer as parts of the frame's
// width and height, each between 0 and 1.
export function draggable(handle, frame, moved) {
  const move = (event) => {
    const box = frame.getBoundingClientRect();
    const part = (value, from, size) => Math.min(1, Math.max(0, (value - from) / size));
    moved(part(event.clientX, box.left, box.width), part(event.clientY, box.top, box.height));
  };
  handle.style.touchAction = "none";
  // Chromium does not heed that style on a part of an SVG, and would scroll the page instead.
  handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  handle.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.focus?.({ preventScroll: true });
    move(event);
  });
  handle.addEventListener("pointermove", (event) => { if (handle.hasPointerCapture(event.pointerId)) move(event); });
}

// Shows what stands at the place under the pointer or the focus, in the line of the picture that is made for it, and
// marks the same place in every sheet. `groups` are lists of elements; elements at one place belong together.
export function pointing(root, groups, sentence) {
  const line = root.querySelector(".live-readout");
  const resting = line.textContent;
  let here = -1;
  const say = () => put(line, here < 0 ? resting : sentence(here));
  const point = (place) => {
    groups.forEach((group) => { group[here]?.classList.remove("pointed"); });
    here = place;
    groups.forEach((group) => { group[here]?.classList.add("pointed"); });
    say();
  };
  groups.forEach((group) => group.forEach((element, place) => {
    element.addEventListener("pointerenter", () => point(place));
    element.addEventListener("focus", () => point(place));
  }));
  root.addEventListener("pointerleave", () => point(-1));
  return say;
}

export function hydrate(root, picture, moved = () => {}) {
  const { state: opening, constants } = JSON.parse(root.querySelector("script").textContent);
  let state = opening;
  const go = (next) => {
    state = next;
    draw(state);
  };
  const change = (part) => {
    go({ ...state, ...part });
    moved(state);
  };
  const draw = picture.wire(root, constants, change, () => state);
  root.querySelectorAll("fieldset").forEach((fieldset) => { fieldset.disabled = false; });
  root.querySelectorAll(".try").forEach((button) => { button.disabled = false; });
  root.classList.add("live-on");
  draw(state);
  return go;
}

// In a live notebook: anywidget calls this, and the state is shared with Python.
export function render(picture, { model, el }) {
  el.innerHTML = model.get("_html");
  // Else JupyterLab takes the arrow keys for its own shortcuts; it looks for this on the very element that has the focus.
  el.querySelectorAll("input, button, [tabindex], .cell").forEach((field) => { field.dataset.lmSuppressShortcuts = "true"; });
  const go = hydrate(el.querySelector("[data-picture]"), picture, (state) => {
    model.set("state", state);
    model.save_changes();
  });
  const follow = () => go(model.get("state"));
  follow();
  model.on("change:state", follow);
  return () => model.off("change:state", follow);
}
