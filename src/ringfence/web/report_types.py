"""The types of reports as the pages of their APIs show them: columns as declared, charts from static files."""

from typing import Any

from sqlalchemy import Boolean, Integer, Numeric

from ringfence.reports.catalogue import EXPLORE, LEGACY
from ringfence.reports.charts import chart_of
from ringfence.reports.report import Report
from ringfence.store.columns import Fraction, Json, Moment

KINDS: tuple[tuple[Any, str], ...] = (
    (Moment, "time"),
    (Fraction, "fraction of a day"),
    (Boolean, "true or false"),
    (Integer, "integer"),
    (Numeric, "number"),
    (Json, "JSON"),
)
ELSEWHERE = {"reporting": "explore"}  # whose page shows what there is to know
SHOWN: dict[str, dict[str, Report]] = {"explore": EXPLORE, "reporting": LEGACY}


def reports_of(api: str, static: set[str]) -> list[dict[str, Any]]:
    """The types that an API writes; nothing where it writes none."""
    return [
        {
            "type": report.type,
            "title": report.title,
            "about": report.about,
            "columns": [(name, kind_of(report, column.type)) for name, column in report.columns.items()],
            "chart": chart if (chart := f"report-{report.type}.svg") in static else "",
            "drawn": chart_of(report).title,
            "at": f"/docs/{ELSEWHERE[api]}#report-{report.type}" if api in ELSEWHERE else "",
        }
        for report in SHOWN.get(api, {}).values()
    ]


def kind_of(report: Report, type: Any) -> str:
    """What is in a column, in a word or two."""
    kind = next((word for kind, word in KINDS if isinstance(type, kind)), "text")
    return "time in UTC" if kind == "time" and report.rfc3339 else kind
