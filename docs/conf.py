"""Configuration of the site. `make docs` builds it from the pages that docs/pages.py lays out, into build/site."""

from importlib import metadata

project = "normbench"
author = "The normbench developers"
release = metadata.version("normbench")
html_title = f"normbench {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.mermaid"]
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
default_role = "code"  # what docstrings put into backticks
