// Filters the rows of the field survey as the reader types. Without this script the whole table is there and the form is not.
(() => {
  "use strict";
  const survey = document.querySelector(".survey");
  if (!survey) return;
  const form = survey.querySelector("form");
  const [text, design, status] = ["text", "design", "status"].map((name) => form.querySelector(`#survey-${name}`));
  const said = form.querySelector(".survey-said");
  const plain = (words) => words.normalize("NFKD").toLowerCase().replaceAll("π", "pi");
  const rows = [...survey.querySelectorAll("tbody tr")].map((row) => ({
    row,
    words: plain(row.textContent),
    designs: row.dataset.designs.split(" "),
    status: row.dataset.status,
  }));

  function filter() {
    const wanted = plain(text.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of rows) {
      const fits =
        wanted.every((word) => one.words.includes(word)) &&
        (!design.value || one.designs.includes(design.value)) &&
        (!status.value || one.status === status.value);
      one.row.hidden = !fits;
      shown += fits;
    }
    const message = `${shown} of ${rows.length} policies shown.`;
    if (said.textContent !== message) said.textContent = message;
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    setTimeout(filter); // after the fields were emptied
    text.focus();
  });
  // A link to a row leads there, whatever was typed before.
  addEventListener("hashchange", () => {
    const row = location.hash && document.getElementById(location.hash.slice(1));
    if (row && row.hidden && survey.contains(row)) {
      form.reset();
      filter();
      row.scrollIntoView();
    }
  });
  form.hidden = false;
  addEventListener("pageshow", filter); // the browser may bring back what was typed
  filter();
})();
