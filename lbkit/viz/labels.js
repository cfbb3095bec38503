// What ipywidgets leaves out: screen readers need the name and the value of a slider at its handle, which has the
// focus, and the name of a field that has a tooltip only; the parts of an accordion are opened by the pointer only.

function labelControls(el) {
  const panel = el.closest(".jp-OutputArea-output") ?? document;
  for (const slider of panel.querySelectorAll(".widget-slider")) {
    const handle = slider.querySelector(".noUi-handle");
    const [name, value] = [".widget-label", ".widget-readout"].map((part) => slider.querySelector(part)?.textContent);
    handle?.setAttribute("aria-label", name || "slider");
    if (value) handle?.setAttribute("aria-valuetext", value);
    const readout = slider.querySelector(".widget-readout[contenteditable]");
    readout?.setAttribute("role", "textbox");
    readout?.setAttribute("aria-label", name || "value");
  }
  for (const header of panel.querySelectorAll(".jupyter-widget-Collapse-header:not([role])")) openByKeys(header);
  for (const field of panel.querySelectorAll(".jupyter-widgets :is(select, textarea, input)[title]:not([aria-label])"))
    if (!field.labels?.[0]?.textContent.trim()) field.setAttribute("aria-label", field.title);
}

function openByKeys(header) {
  const part = header.nextElementSibling;
  const say = () => header.setAttribute("aria-expanded", !part.classList.contains("lm-mod-hidden"));
  Object.assign(header, { tabIndex: 0, role: "button" });
  header.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys are for cells
  header.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault(); // the page would be scrolled
    header.click();
  });
  new MutationObserver(say).observe(part, { attributeFilter: ["class"] });
  say();
}
