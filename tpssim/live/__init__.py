"""Live: the laws against the wall clock, blocking and asynchronous. Standard library only.

Modules, lowest first:

- how precisely to wait: `waiting` (a thread), `async_clocks` (an event loop), `clocks` (both);
- what is wanted of a run: `wanted`;
- what a run counts and reports: `bounded_counts`, `stats`, `late_causes`, `report`,
  `report_numbers`, `run_setting`, `rate_limits`, `headline`, `reporting`, `journal`;
- calls: `outcomes`, `permits`, `call_owners`, `sources`, `async_sources`;
- a run: `arguments`, `run_lock`, `run_parts`, `signal_handlers`, `waiters`, then `session_state`,
  `settlements`, `releases`, `session`, and its `handle`;
- throttles: `acquire`, `async_acquire`, `throttle`, `async_throttle`, `limiter`;
- `run` and `arun`: `retries`, `jobs`, `async_jobs`, `pool_begins`, `runs`, `async_runs`;
- a recording read, and fed to its law again: `events`, `playback`;
- for the command line: `callees/`, `monitor`, `panel`, `calibration`, `demo_server`,
  `demo_queue`, `demo_quotas`, `demo_service`;
- for HTTP clients: `clients/`.
"""
