// Run a Python script on the very Python that browsers will run, with a folder as /archives:
// node bytecode.mjs PYODIDE SCRIPT FOLDER
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [pyodide, script, folder] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${pyodide}/pyodide.mjs`));
const python = await loadPyodide({ indexURL: `${pyodide}/` });
python.mountNodeFS("/archives", folder);
python.runPython(readFileSync(script, "utf8"));
