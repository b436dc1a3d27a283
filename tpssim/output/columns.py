"""How measures stand in a table, on the terminal, in a notebook and on a page alike."""

from __future__ import annotations

from tpssim.output.tables import Column

COLUMNS = {
    "achieved": Column("achieved", "%", digits=1, scale=100.0, spread=True),
    "swing": Column("swing", "%", scale=100.0),
    "recovery_time": Column("recov\xad\ners", "s", digits=2),
    "response_p99": Column("p99", "s", digits=3),
    "lateness_p99": Column("late", "us", scale=1e6),
    "drift": Column("drift", "ppm"),
    "spin_cpu": Column("spin", "%", digits=1, scale=100.0),
    "churn": Column("churn", "%/s", digits=1, scale=100.0),
    "fairness": Column("fair\xad\nness", digits=3),
    "time_to_fairness": Column("fair", "s", digits=1),
    "burst_100ms": Column("burst"),
    "caught_up": Column("caught\nup"),
    "re_anchored": Column("re-\nanchored"),
    "skipped": Column("skipped"),
}


def columns(*measures: str) -> dict[str, Column]:
    """The columns of these measures, by measure.

    >>> [column.title() for column in columns("recovery_time", "swing").values()]
    ['recovers s', 'swing %']
    """
    return {measure: COLUMNS[measure] for measure in measures}
