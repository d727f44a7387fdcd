"""The report: one page that opens offline, read by clinicians and auditors."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mtmed.evaluation.contents import Lineage, Overlay, Report, SiteFacts
from mtmed.evaluation.page import page

__all__ = ["Lineage", "Overlay", "Report", "SiteFacts", "render"]


def render(report: Report, path: Path) -> None:
    """Write the report to `path`: one file, no script, nothing fetched; same report, same bytes."""
    environment = Environment(
        loader=PackageLoader("mtmed.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("report.html.j2").render(page(report))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
