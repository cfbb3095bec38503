// Colours: the page's own where it says (JupyterLab), else light or dark as the reader likes it.

const LIGHT = {
  page: "#ffffff", panel: "#f5f6f8", ink: "#1f2328", faint: "#656d76", line: "#b4bac2", hair: "#dfe3e8",
  slot: "#e4e8ed", failed: "#c62828", warned: "#9a6700", blue: "#0b57d0", dark: false,
};
const DARK = {
  page: "#111418", panel: "#1b2027", ink: "#e8eaed", faint: "#a0a8b2", line: "#535c68", hair: "#2c333c",
  slot: "#2b323b", failed: "#ff6e64", warned: "#ffb74d", blue: "#8ab4f8", dark: true,
};

function themeOf(element) {
  const page = getComputedStyle(element).getPropertyValue("--jp-layout-color0").trim();
  const dark = page ? luminance(page) < 0.4 : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = dark ? DARK : LIGHT;
  return page ? { ...theme, page } : theme;
}

// Of any CSS colour: the canvas knows them all.
function luminance(colour) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  return brightness(pen.getImageData(0, 0, 1, 1).data);
}

const brightness = ([red, green, blue]) => (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;

// Ink that can be read on a colour as a canvas says it, "#rrggbb".
const inkOn = (hex) => (brightness(parts(hex)) < 0.43 ? LIGHT.page : DARK.page);

const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

// On dark pages, colours of the palette are too dim for small dots: nearer to white.
function lifted(hex, theme) {
  if (!theme.dark) return hex;
  return `rgb(${parts(hex).map((part) => Math.round(mix(part, 255, 0.28))).join(",")})`;
}

// Call `changed` when the page turns dark or light.
function onTheme(changed) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const jupyter = new MutationObserver(changed);
  dark.addEventListener("change", changed);
  jupyter.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  return () => {
    dark.removeEventListener("change", changed);
    jupyter.disconnect();
  };
}
