// The sentence of a scene, and the buttons to the next one and back. Python decides what is shown.

function render({ model, el }) {
  el.classList.add("lbkit-narrator");
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys are for cells
  const make = (tag, look) => {
    const made = el.appendChild(document.createElement(tag));
    made.className = look;
    return made;
  };
  const sentence = make("p", "lbkit-sentence");
  sentence.setAttribute("aria-live", "polite");
  const button = (go) => {
    const made = make("button", `lbkit-${go}`);
    made.type = "button";
    made.onclick = () => made.getAttribute("aria-disabled") !== "true" && model.send({ go });
    return made;
  };
  const place = make("span", "lbkit-place");
  const [back, next] = [button("back"), button("next")];
  back.textContent = "back";

  function show() {
    const [step, count] = [model.get("step"), model.get("count")];
    if (sentence.textContent !== model.get("text")) sentence.textContent = model.get("text");
    place.textContent = count > 1 ? `${step} of ${count}` : "";
    back.setAttribute("aria-disabled", step === 1); // a disabled button would lose the focus
    next.textContent = model.get("next");
    back.hidden = count === 1;
    next.hidden = !model.get("next");
    setTimeout(() => labelControls(el)); // they are beside it, and come with it
  }

  model.on("change", show);
  show();
  return () => model.off("change", show);
}

export default { render };
