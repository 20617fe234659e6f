"""Tables, figures and pages for people: terminal, Markdown, LaTeX and HTML."""

import logging

# Where the home folder cannot be written, matplotlib uses a temporary folder and says so on every start.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
