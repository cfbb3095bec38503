// What the theme leaves out for keyboards and screen readers: headings of the contents have a level, and code that is
// wider than its place can be scrolled by keys.
for (const heading of document.querySelectorAll("[role=heading]:not([aria-level])")) heading.setAttribute("aria-level", "2");

function reachable() {
  for (const code of document.querySelectorAll("pre")) {
    if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
    else code.removeAttribute("tabindex");
  }
}

addEventListener("resize", reachable);
reachable();
