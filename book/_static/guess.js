// A guess before an answer. Written as a folded part (CONTRIBUTING.md shows one), which is what readers without scripts
// have. Here its options become buttons: the one that is pressed opens the answer and is marked right or wrong. Until
// then what would give the answer away is veiled: the outputs of the cells that follow, and the text about them.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const make = (name, more) => Object.assign(document.createElement(name), more);

  for (const answer of document.querySelectorAll("details.guess")) {
    const summary = answer.querySelector("summary");
    const options = [...summary.querySelectorAll("kbd")];
    if (!options.some((option) => option.matches(".right"))) continue;

    const box = make("div", { className: "guess" });
    const question = make("p", { className: "question" });
    const row = make("p", { className: "options" });
    const said = make("p", { className: "said" });
    said.setAttribute("role", "status");
    const buttons = options.map((option) => {
      const button = make("button", { type: "button" });
      button.append(...option.childNodes);
      button.addEventListener("click", () => {
        buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
        const is_right = option.matches(".right");
        const right = buttons.filter((each) => each.matches(".right")).map((each) => each.textContent).join(" or ");
        said.textContent = is_right ? "That is right." : `You chose: ${button.textContent}. The answer is: ${right}.`;
        box.dataset.guessed = is_right ? "right" : "wrong";
        answer.open = true;
      });
      button.classList.toggle("right", option.matches(".right"));
      button.setAttribute("aria-pressed", "false");
      option.remove();
      return button;
    });
    question.append(...summary.childNodes);
    row.append(...buttons);
    summary.textContent = "Show the answer";
    answer.classList.remove("guess");
    answer.replaceWith(box);
    box.append(question, row, said, answer);

    // The outputs of the cells that follow, folded cells as a whole, and the text behind them, which says what they mean. The last paragraph before
    // another cell or guess speaks of that one, unless it is the only one.
    const veiled = [], text = [];
    let next = box.nextElementSibling;
    for (; next?.matches(".cell"); next = next.nextElementSibling) {
      const output = next.querySelector(":scope > .cell_output, :scope > details.below-input");
      const is_folded = next.matches(".tag_hide-input, .tag_hide-cell"); // nothing but a line that opens it would be left
      if (!output?.querySelector("[data-picture], .explore") && (output || is_folded)) veiled.push(is_folded ? next : output);
    }
    if (veiled.length) {
      for (; next?.matches("p, ul, ol, .noted, div:has(> table)"); next = next.nextElementSibling) text.push(next);
      if (text.length > 1 && next?.matches(".cell, .guess")) text.pop();
      veiled.push(...text);
    }
    const veil = make("p", { className: "veil", textContent: "What comes out, and why, appears when you have answered. " });
    const lift = make("button", { type: "button", textContent: "Show it now" });
    lift.addEventListener("click", () => (answer.open = true));
    veil.append(lift);
    if (veiled.length) veiled.at(-1).after(veil);
    for (const element of veiled) element.classList.add("veiled");
    answer.addEventListener("toggle", () => {
      if (!answer.open) return;
      box.classList.add("answered");
      veil.remove();
      for (const element of veiled) {
        element.classList.remove("veiled");
        if (element.matches("details.below-input")) element.open = true;
      }
    });
  }
});
