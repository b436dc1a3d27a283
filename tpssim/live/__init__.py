"""Live: the laws against the wall clock, blocking and asynchronous. Standard library only.

Modules, from the ground up: `waiting` and `alarm` (how precisely to wait, in a thread and in a
loop), `clocks` (both for one run), `arguments`, `outcomes` (what came of a call), `tally` and
`counts` (a run, counted in bounded memory), `account` (its report), `headline` and `causes` (what
limited it), `journal` (a run written down as it goes), `guard` (the lock of a run), `line` (who
waits for a slot), `hands` (whose call it is), `sources` and `async_sources` (items, and what was
fetched of them), `reporting` (what a run says of itself), `flow` (law, slots, permits: all but the
waiting), `asking` and `async_asking` (how a thread and a task wait), `blocking` and `loops` (the
throttles), `limiter`, `retries`, `jobs` and `async_jobs` (no item is lost), `begins` (when calls of
a pool may begin), `runs` and `async_runs` (calls made by a pool, by tasks), `clients/` (transports
for HTTP clients).
"""
