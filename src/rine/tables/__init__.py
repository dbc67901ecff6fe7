"""Tables of the study: built from scores, written as HTML, Markdown and LaTeX."""
