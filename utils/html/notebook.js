// Contents that fold on a narrow window, and boxes that can be scrolled without a mouse.
"use strict";

const contents = document.querySelector("nav details");
const wide = matchMedia("(min-width: 70rem)"); // as in notebook.css

function foldContents() {
  contents.open = wide.matches;
}

if (contents) {
  foldContents();
  wide.addEventListener("change", foldContents);
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a")) foldContents();
  });
}

/** Only boxes that do scroll become stops of the Tab key. */
function markScrolling() {
  for (const box of document.querySelectorAll("main pre, main .scroll")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", box.matches(".scroll") ? "Table" : "Code or its output");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
}

new ResizeObserver(markScrolling).observe(document.body); // now, and when it changes its size
