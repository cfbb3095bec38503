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
    for (const name of ["mousemove", "mousedown", "touchstart"]) addEventListener(name, tellPlotly, true);
  }
  document.documentElement.toggleAttribute("data-lbkit-projector", on);
  dispatchEvent(new Event("lbkit-projector"));
  dispatchEvent(new Event("resize")); // for figures that have their own size
}

// plotly scales what a pointer says, and the labels it shows, by the `transform` it finds around a figure, but knows
// nothing of zoom: it is told, as if it had looked just now.
function tellPlotly(event) {
  const plot = event.target.closest?.(".js-plotly-plot");
  const zoom = plot?.currentCSSZoom ?? 1;
  if (zoom === 1) return;
  const scale = 1 / zoom;
  Object.assign(plot._fullLayout, {
    _lastBBox: plot.getBoundingClientRect(),
    _invScaleX: scale,
    _invScaleY: scale,
    _invTransform: [[scale, 0, 0, 0], [0, scale, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
  });
}
