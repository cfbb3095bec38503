"""`make lite`: a static site with JupyterLab, Python and the notebooks, which runs in a browser alone."""
