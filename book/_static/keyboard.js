// What the keyboard meets on a page. The copy buttons, one for each block of code, stay for the mouse and leave the tab order.
// Before each picture stands a link that shows itself when it is reached and leads to the next picture's link.
"use strict";
addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("button.copybtn")) button.tabIndex = -1;

  const kinds = "[data-picture], .explore";
  const pictures = [...document.querySelectorAll(kinds)].filter((picture) => !picture.parentElement.closest(kinds));
  const link = (id, to, words) => Object.assign(document.createElement("a"), {
    id, href: `#picture-${to}`, textContent: words, className: "to-picture",
  });
  pictures.forEach((picture, place) => {
    const last = place + 1 === pictures.length;
    picture.before(link(`picture-${place + 1}`, last ? 1 : place + 2, last ? "First picture" : "Next picture"));
  });
  if (pictures.length) document.getElementById("pst-skip-link")?.after(link("to-pictures", 1, "First picture"));
});
