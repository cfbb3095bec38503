"""How Sphinx makes the site of the folder that `docs/make_site.py` has filled."""

from lbkit import __version__

project = "lbkit"
version = release = __version__
copyright = "the lbkit authors, MIT licence"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]

html_theme = "furo"
html_title = f"lbkit {version}"
html_static_path = ["pictures", "static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_extra_path = ["extra"]  # slides
html_copy_source = False

nb_execution_mode = "off"  # `docs/make_site.py --run` sets "cache"
nb_execution_timeout = 300
nb_number_source_lines = False
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
# Notebooks may begin their sections at any level; two classes of one name are told apart by their package.
suppress_warnings = ["myst.header", "ref.python"]

default_role = "code"  # docstrings have `names` in single backticks
autodoc_typehints = "signature"
toc_object_entries = False  # a tree of all functions beside each page takes longer to make than the pages
autodoc_member_order = "groupwise"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
