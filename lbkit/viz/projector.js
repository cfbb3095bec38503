// A switch for projector mode. What it does is in theatre/stage/projecting.js, which stands before this.

function render({ model, el }) {
  el.classList.add("lbkit-projector");
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys are for cells
  const button = el.appendChild(document.createElement("button"));
  button.type = "button";
  button.title = "text, lines and controls larger, for the last row; again: as before";
  button.textContent = "projector mode";
  button.onclick = () => {
    model.set("on", !projected());
    model.save_changes();
    project(model.get("on"));
  };
  const show = () => button.setAttribute("aria-pressed", projected());
  const wanted = () => model.get("on") !== null && project(model.get("on"));
  model.on("change:on", wanted);
  addEventListener("lbkit-projector", show);
  wanted();
  show();
  return () => {
    model.off("change:on", wanted);
    removeEventListener("lbkit-projector", show);
  };
}

export default { render };
