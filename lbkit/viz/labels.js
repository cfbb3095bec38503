// What ipywidgets leaves out: screen readers need the name and the value of a slider at its handle, which has the
// focus, and the name of a field that has a tooltip only.

function labelControls(el) {
  const panel = el.closest(".jp-OutputArea-output") ?? document;
  for (const slider of panel.querySelectorAll(".widget-slider")) {
    const handle = slider.querySelector(".noUi-handle");
    const [name, value] = [".widget-label", ".widget-readout"].map((part) => slider.querySelector(part)?.textContent);
    handle?.setAttribute("aria-label", name || "slider");
    if (value) handle?.setAttribute("aria-valuetext", value);
  }
  for (const field of panel.querySelectorAll(".jupyter-widgets :is(select, textarea, input)[title]:not([aria-label])"))
    if (!field.labels?.[0]?.textContent.trim()) field.setAttribute("aria-label", field.title);
}
