"""Settings of Sphinx; `make docs` builds the site into out/site, which works without a network."""

import re
from pathlib import Path

project = "emgait_ros"
author = "emgait_ros maintainers"
project_copyright = author
release = re.findall(
    r"<version>(.*)</version>", (Path(__file__).parents[1] / "package.xml").read_text(encoding="utf-8")
)[0]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"emgait_ros {release}"
exclude_patterns = ["tables"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True}
