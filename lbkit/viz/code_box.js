// A text area for Python: numbers of lines, Tab and Enter that indent, and a mark at a line with an error.

const STYLE = `
.lbkit-code { display: flex; font: 13px/1.45 var(--jp-code-font-family, monospace); border: 1px solid #8888;
  border-radius: 3px; overflow: hidden; background: var(--jp-cell-editor-background, transparent); }
.lbkit-code pre { margin: 0; padding: 6px 8px; min-width: 2ch; text-align: right; font: inherit;
  color: var(--jp-content-font-color2, #59606a); border-right: 1px solid #8884; user-select: none; overflow: hidden; }
.lbkit-code textarea { flex: 1; min-width: 0; margin: 0; padding: 6px 8px; border: 0; outline: 0; resize: none;
  font: inherit; color: var(--jp-content-font-color1, inherit); background: transparent; white-space: pre;
  tab-size: 4; overflow: auto; }
.lbkit-code:focus-within { border-color: var(--jp-brand-color1, #2350be); }
.lbkit-code .lbkit-wrong { background: #c62828; color: white; border-radius: 2px; padding: 0 3px; margin: 0 -3px; }
`;
const INDENT = "    ";
const PAUSE = 150; // milliseconds without a key until the kernel gets the text

function render({ model, el }) {
  el.classList.add("lbkit-code");
  el.append(Object.assign(document.createElement("style"), { textContent: STYLE }));
  const numbers = el.appendChild(document.createElement("pre"));
  const area = el.appendChild(document.createElement("textarea"));
  numbers.setAttribute("aria-hidden", "true");
  area.setAttribute("aria-label", "Your code. Tab indents; press Escape, then Tab, to leave.");
  area.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own, such as Enter
  Object.assign(area, { spellcheck: false, autocapitalize: "off", wrap: "off" });
  let waiting = 0;
  let leaving = false; // after Escape, Tab moves on: no trap for the keyboard

  function number() {
    const wrong = model.get("error_line");
    const lines = area.value.split("\n").map((_, i) => {
      const line = document.createElement("div");
      const text = line.appendChild(document.createElement("span"));
      text.textContent = i + 1;
      if (i + 1 === wrong) text.className = "lbkit-wrong";
      return line;
    });
    numbers.replaceChildren(...lines);
    numbers.scrollTop = area.scrollTop;
  }

  function send() {
    clearTimeout(waiting);
    if (area.value === model.get("value")) return;
    model.set("value", area.value);
    model.save_changes();
  }

  function show() {
    if (area.value !== model.get("value")) area.value = model.get("value");
    area.style.height = numbers.style.height = `${model.get("lines") * 1.45 * 13 + 12}px`;
    number();
  }

  const insert = (text) => document.execCommand("insertText", false, text); // can be undone

  area.addEventListener("input", () => {
    number();
    clearTimeout(waiting);
    waiting = setTimeout(send, PAUSE);
  });
  area.addEventListener("blur", send); // before a button is clicked
  area.addEventListener("scroll", () => (numbers.scrollTop = area.scrollTop));
  area.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const before = area.value.slice(0, area.selectionStart);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey)) {
      event.preventDefault();
      send();
      model.send({ run: true });
    } else if (event.key === "Enter") {
      event.preventDefault();
      insert("\n" + line.match(/^ */)[0] + (line.trimEnd().endsWith(":") ? INDENT : ""));
    } else if (event.key === "Tab" && !leaving) {
      event.preventDefault();
      if (!event.shiftKey) insert(INDENT);
      else if (/^ +$/.test(line)) {
        area.selectionStart -= Math.min(INDENT.length, line.length);
        document.execCommand("delete");
      }
    }
    leaving = event.key === "Escape";
  });
  model.on("change:value change:error_line", show);
  show();
  return () => clearTimeout(waiting);
}

export default { render };
