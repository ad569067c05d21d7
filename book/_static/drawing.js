// A picture that is wider than its frame can be scrolled with the keyboard. One that fits is no stop on the way.
const widths = new ResizeObserver((frames) => {
  for (const {target} of frames) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const frame of document.querySelectorAll(".drawing")) widths.observe(frame);
