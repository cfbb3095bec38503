// Projector mode: everything that lbkit shows is larger, and so are code and text of a notebook. It is a state of the
// page, which widgets and saved pages share; one switch, and it is as before.

const LARGER = 1.6; // text of 12 pixels is 19 then: 1/38 of the height of a screen with 720
const PROJECTOR = `
:root[data-lbkit-projector] :is(.jp-OutputArea-output, body > #theatre) { zoom: ${LARGER}; }
:root[data-lbkit-projector] .jp-OutputArea-output .jp-OutputArea-output { zoom: 1; }
:root[data-lbkit-projector] {
  --jp-content-font-size1: 20px; --jp-content-font-size2: 24px; --jp-content-font-size3: 28px; --jp-content-font-size4: 32px;
  --jp-content-font-size5: 36px; --jp-code-font-size: 19px; --jp-cell-prompt-width: 40px; --jp-notebook-padding: 4px;
}
:root[data-lbkit-projector] .jp-OutputArea-output { --jp-content-font-size1: 14px; --jp-code-font-size: 13px; }
`;

const projected = () => "lbkitProjector" in document.documentElement.dataset;

function project(on) {
  if (on === projected()) return;
  if (!document.getElementById("lbkit-projector")) {
    const style = document.head.appendChild(document.createElement("style"));
    style.id = "lbkit-projector";
    style.textContent = PROJECTOR;
    for (const name of ["mousemove", "mousedown", "mouseup", "click"]) addEventListener(name, pointAt, true);
  }
  document.documentElement.toggleAttribute("data-lbkit-projector", on);
  dispatchEvent(new Event("lbkit-projector"));
  dispatchEvent(new Event("resize")); // for figures that have their own size
}

// plotly takes pixels of the screen for its own: what is under the pointer would be elsewhere.
function pointAt(event) {
  const zoom = event.target.closest?.(".js-plotly-plot")?.currentCSSZoom ?? 1;
  if (zoom === 1) return;
  const { left, top } = event.target.getBoundingClientRect();
  const [x, y] = [left + (event.clientX - left) / zoom, top + (event.clientY - top) / zoom];
  Object.defineProperty(event, "clientX", { value: x });
  Object.defineProperty(event, "clientY", { value: y });
}
