"""The page of `dvc plots show` without a network: a template with the Vega bundle in it.

DVC's own page loads Vega from the net and stays blank without one. `.dvc/config` names the file that is written here
(`plots.html_template`); it is large and made in a second, so it is not kept in git: `python -m rine.report.offline`.
"""

from __future__ import annotations

import functools
import html
from pathlib import Path

PLACE = Path(".rine/plots.html")
# {plot_divs} is DVC's; without {scripts} it adds no address of its own
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DVC plots</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem; color: #16202b; background: #fff; }
.notice { color: #8a5200; background: #fff6e5; border-left: 4px solid #e8a33d; padding: .6rem .9rem; font-weight: 600; }
body > div { display: block !important; overflow-x: auto; margin-bottom: 2rem; }
</style>
<script>
(function () {
@bundle
// a plot that has no data yet comes as an empty specification
window.vegaEmbed = function (where, spec) {
  return spec.$schema ? window.embedVega(where, spec, { renderer: "svg", actions: false }) : null;
};
})();
</script>
</head>
<body>
@notice
{plot_divs}
</body>
</html>
"""


def write_template(path: Path = PLACE, notice: str = "") -> bool:
    """Write the template where it is not there yet or says something else; tells whether it was written."""
    paragraph = f'<p class="notice" role="note">{html.escape(notice)}</p>' if notice else "<!-- no notice -->"
    if path.is_file() and paragraph in path.read_text(encoding="utf-8"):
        return False
    page = _PAGE.replace("@notice", paragraph).replace("@bundle", _bundle())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return True


@functools.cache
def _bundle() -> str:
    """Vega as a script."""
    from vl_convert import javascript_bundle  # a second and 50 MB: only where the file is to be made

    bundle = javascript_bundle("window.embedVega = vegaEmbed;")  # a local name would be minified away
    return str(bundle).replace("</script", "<\\/script")


if __name__ == "__main__":
    write_template()
