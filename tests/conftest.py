"""Shared by all tests: Hypothesis is deterministic in CI; data that is not there is skipped by
name.

Two processes run the tests. Those that live by the wall clock are one after the other in one of
them, and so are those of one law where it is compiled, because compiling it takes longer than all
that is then run. Of the others those that take long come first, so that at the end neither process
waits for the other.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tpssim.core.provenance import ours
from tpssim.experiments.sweep import batch_runs
from tpssim.scenarios.service_times import draws
from tpssim.simulation.compiled.compiling import fast_for

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

CLOCK = (
    "live/",
    "cli/test_live_command.py",
    "validation/test_live_against_simulated.py",
)
#: and the argument that names the law
COMPILING = {
    "simulation/test_compiled_engine.py": "name",
    "experiments/test_batch_runs.py": "controller",
}
#: Beginnings of the tests that are marked `slow`: they take seconds, or compile or host much.
SLOW = (
    "controllers/test_contract.py::test_finite_news",
    "controllers/test_contract.py::test_the_origin_of_time",
    "controllers/test_sre_throttling.py::test_it_sends_k_times",
    "live/test_pool_begins.py::test_what_waited_for_a_worker",
    "live/test_calibration.py::test_the_command_and_its_model",
    "live/test_recording.py::test_a_killed_run",
    "live/test_recording.py::test_a_recording_played_back",
    "live/test_recording.py::test_whatever_is_damaged",
    "live/test_interrupts.py",
    "live/test_shared_machine.py",
    "live/test_throttle.py::test_ten_minutes_do_not_drift",
    "live/test_throttle.py::test_the_live_throttle_decides_as_the_model",
    "output/test_results_dir.py::test_a_full_disk_in_the_middle",
    "output/test_results_dir.py::test_a_kill_at_any_moment",
    "test_benchmarks.py::test_each_has_a_smoke_mode",
    "simulation/test_ciw.py::test_waiting_times_agree",
    "cli/test_main.py::test_an_interrupt_stops",
    "cli/test_main.py::test_equal_runs_write",
    "simulation/test_compiled_cache.py::test_commands_are_right_after",
    "simulation/test_compiled_cache.py::test_damaged_code",
    "output/test_damaged_results.py::test_each_number_may_be_null",
    "test_documents.py::test_command[",
    "test_documents.py::test_snippet[",
    "test_documents.py::test_the_pages_of_the_api",
    "test_documents.py::test_the_table_of_headroom",
    "simulation/test_compiled_engine.py::test_a_class_redefined",
    "simulation/test_compiled_engine.py::test_an_edited_law_file",
    "simulation/test_compiled_engine.py::test_drawn",
    "simulation/test_compiled_engine.py::test_every_controller",
    "simulation/test_compiled_engine.py::test_one_s_own_law",
    "experiments/test_compare.py::test_ones_own_law",
    "experiments/test_compare.py::test_the_document_is_the_same",
    "experiments/test_explore.py::test_every_arena",
    "experiments/test_explore.py::test_in_a_notebook",
    "test_figures.py::test_a_claim",
    "test_figures.py::test_the_rows_of_a_table",
    "core/test_fingerprint.py::test_a_cell_that_is_run_again",
    "core/test_fingerprint.py::test_a_law_that_was_not_taken",
    "core/test_fingerprint.py::test_a_sweep_after_an_edit",
    "simulation/test_user_code.py",
    "experiments/test_grids.py::test_a_grid_out_of_order",
    "experiments/test_grids.py::test_the_command_writes_the_pictures",
    "simulation/test_runner.py",
    "simulation/test_hosted_clocks.py",
    "simulation/test_clock_values.py",
    "experiments/test_batch_runs.py",
    "cli/test_live_command.py::test_a_line_a_second",
    "cli/test_live_command.py::test_a_signal_ends_it",
    "cli/test_live_command.py::test_one_that_had_an_end",
    "test_notebooks.py",
    "test_optimised.py",
    "validation/test_live_against_simulated.py::test_a_short_run",
    "test_public_names.py::test_a_user_s_file",
    "simulation/test_random_runs.py::test_500_pairs",
    "experiments/test_sweep.py::test_a_sweep_that_is_killed",
    "experiments/test_sweep.py::test_an_interrupt",
    "experiments/test_sweep.py::test_the_table_does_not_depend",
    "experiments/test_sweep_dask.py",
    "experiments/test_tune.py::test_a_known_optimum",
    "experiments/test_tune.py::test_a_search_that_is_killed",
    "experiments/test_tune.py::test_only_the_arguments",
    "validation/test_validate.py::test_every_case_holds",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    grouped = config.pluginmanager.hasplugin("xdist")
    for item in items:
        name = item.path.relative_to(tests).as_posix()
        arguments = getattr(getattr(item, "callspec", None), "params", {})
        if f"{name}::{item.name}".startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        if grouped and name.startswith(CLOCK):
            item.add_marker(pytest.mark.xdist_group("clock"))
        elif grouped and COMPILING.get(name) in arguments:
            item.add_marker(pytest.mark.xdist_group(arguments[COMPILING[name]]))
    if hasattr(config, "workerinput"):  # one of xdist's processes
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


SHARED = Path(__file__).parent.parent.parent / "shared"


def shared(request: pytest.FixtureRequest, folder: str) -> Path:
    path = SHARED / folder / str(request.param)
    if not path.is_file():
        pytest.skip(f"shared/{folder}/{request.param} is not beside this checkout")
    return path


@pytest.fixture
def shared_trace(request: pytest.FixtureRequest) -> Path:
    """A file of the shared recordings; the test is skipped where they are not beside the
    project.
    """
    return shared(request, "traces")


@pytest.fixture
def shared_golden(request: pytest.FixtureRequest) -> Path:
    """A recorded output of an original implementation; skipped as `shared_trace`."""
    return shared(request, "golden")


@pytest.fixture
def draws_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The live throttle draws from the standard library; here it is given the model's numbers of
    seed 0.
    """
    streams = tuple(draws(name, 100_000, 0, 0) for name in ("law.uniform", "reject.uniform"))
    for room in ("session_state", "playback"):
        monkeypatch.setattr(f"tpssim.live.{room}.draws", lambda seed: streams)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """In sweeps, a test's own laws run as they are: compiling one takes seconds, its bits are the
    same.
    """
    monkeypatch.setattr(
        batch_runs,
        "fast_for",
        lambda function, law: fast_for(function, law) if ours(law) else function,
    )
