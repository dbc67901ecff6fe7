"""The report: every table and figure that the scores at hand allow, as a page, as Markdown and for DVC."""
