"""The parts of docs/results.md that the program writes, between markers that name them.

    <!-- made by python -m benchmarks.claims: results phantom -->
    <!-- end -->

Parts: `claims`; `results`, `facts` and `tuning` of an experiment, `arms` and `rounds` of one of strategies; `label
efficiency`; `strategies at a glance`.
"""

import re

from benchmarks.evidence import federation_figure, label_efficiency
from benchmarks.evidence.claimed import MASKS, claims
from benchmarks.evidence.drawing import Rows
from benchmarks.evidence.federation_tables import arms_table, rounds_table
from benchmarks.evidence.run_tables import facts_table, metrics_table, tuning_table
from benchmarks.evidence.verdict import judge
from benchmarks.evidence.verdict_table import verdict_tables
from mtmed.errors import UserError, unknown

START, END = "<!-- made by python -m benchmarks.claims: ", "<!-- end -->"
PART = re.compile(rf"({re.escape(START)}(?P<name>[^>]+?) -->\n)(?P<body>(?:(?!<!--).)*?)({re.escape(END)})", re.DOTALL)
OF_EXPERIMENT = {
    "results": metrics_table,
    "facts": facts_table,
    "tuning": tuning_table,
    "arms": arms_table,
    "rounds": rounds_table,
}
ELSEWHERE = {"confidence", "pretraining"}  # what their rows say is made by benchmarks of their own
CURVES, GLANCE = "label efficiency", "strategies at a glance"
DRAWINGS = (label_efficiency.DRAWING, federation_figure.DRAWING)


def rewritten(text: str, rows: Rows) -> str:
    """The page with every part made again from the rows.

    Raises:
        UserError: a part without an end, or with a name that is not known.
    """
    if len(PART.findall(text)) != text.count(START):
        raise UserError(
            f"a part of the page has no end: expected {END} after each {START}... -->, and no comment between"
        )
    return PART.sub(lambda m: f"{m[1]}\n{made(m['name'], rows)}\n\n{END}", text)


def made(name: str, rows: Rows) -> str:
    """The Markdown of a part."""
    if name == "claims":
        return verdict_tables(judge(claims(), rows))
    if name == CURVES:
        return _curves(rows)
    if name == GLANCE:
        return federation_figure.DRAWING.markdown(rows) or "Not measured: no run of a strategy yet."
    kind, _, experiment = name.partition(" ")
    if kind not in OF_EXPERIMENT or not experiment:
        raise unknown(
            "part of the page", name, ["claims", CURVES, GLANCE, *(f"{kind} <experiment>" for kind in OF_EXPERIMENT)]
        )
    body = OF_EXPERIMENT[kind](rows[experiment]) if experiment in rows else ""
    return body or f"Not measured: benchmarks/results/{experiment}.csv has no such rows yet."


def hidden(text: str, rows: Rows) -> list[str]:
    """Experiments that have rows and no part of the page."""
    parts = {match["name"] for match in PART.finditer(text)}
    shown = {name.partition(" ")[2] for name in parts} | {*(MASKS.values() if CURVES in parts else ())}
    return sorted(rows.keys() - shown)


def _curves(rows: Rows) -> str:
    found = label_efficiency.efficiency_table(rows)
    return (
        f"{found}\n\n{label_efficiency.DRAWING.markdown(rows)}"
        if found
        else "Not measured: no run with fewer masks yet."
    )
