"""What other tools write: a file each, a parser from lines to chunks, and how it is recognised."""

from __future__ import annotations

from tpssim.scenarios.recordings.chunks import Format
from tpssim.scenarios.recordings.formats import (
    access_log,
    envoy,
    ghz,
    har,
    hey,
    jmeter,
    journal,
    k6,
    locust,
    otlp,
    own_csv,
    tab_logs,
    vegeta,
)

OWN = own_csv.FORMAT
#: Tables, also as Parquet and as JSON lines.
TABLES: tuple[Format, ...] = (
    OWN,
    k6.CSV,
    jmeter.FORMAT,
    hey.HEY,
    hey.OHA,
    locust.FORMAT,
    vegeta.CSV,
)
#: Text of other kinds; they are tried first.
TEXTS: tuple[Format, ...] = (
    journal.FORMAT,
    k6.JSON,
    vegeta.JSON,
    otlp.FORMAT,
    har.FORMAT,
    ghz.FORMAT,
    envoy.FORMAT,
    access_log.FORMAT,
    tab_logs.PHOUT,
    tab_logs.GATLING,
)
