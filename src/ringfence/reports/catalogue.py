"""The types of reports that there are."""

from ringfence.kernel.problems import Fault, Problem

from . import other_channels
from .report import Report
from .voice import CALLS, LEGACY_USER_STATUS, REPORTS

UNKNOWN_REPORT = Problem("unknown_report", 404, "There is no report of this type.")
EXPLORE: dict[str, Report] = {report.type: report for report in (*REPORTS, *other_channels.REPORTS)}
LEGACY: dict[str, Report] = {report.type: report for report in (CALLS, LEGACY_USER_STATUS)}


def report_of(known: dict[str, Report], type: str) -> Report:
    """Raises UNKNOWN_REPORT."""
    found = known.get(type)
    if found is None:
        raise Fault(UNKNOWN_REPORT, f"{type!r} is none of {', '.join(sorted(known))}.")
    return found
