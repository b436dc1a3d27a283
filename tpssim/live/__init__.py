"""Live: the laws against the wall clock, blocking and asynchronous. Standard library only.

Modules, from the ground up: `waiting` and `alarm` (how precisely to wait, in a thread and in a loop),
`arguments`, `tally` (a run counted in bounded memory), `account` (its report, and what limited it), `journal`
(a run written down as it goes), `flow` (law, slots, permits: all but the waiting), `blocking` and `loops`
(the throttles).
"""
