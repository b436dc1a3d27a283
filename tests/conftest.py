"""Shared by all tests: Hypothesis is deterministic in CI; data that is not there is skipped by
name.

Two processes run the tests, by groups (`group_of`): those of a group are one after the other in one
of the two. Those that live by the wall clock are one group; so are those of a module whose results
take long to make, and the quick ones of any module. Each other one that takes long is alone. They
come in this order but for the quick ones, which are last, so that at the end neither process waits
for the other.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tpssim.core.provenance import ours
from tpssim.experiments.tuning import tune as tuning
from tpssim.scenarios.service_times import draws
from tpssim.simulation.compiled import compiling
from tpssim.simulation.hosting.patching import rebound

# Thousands of collected tests make half a million objects, which a collection looks through: a
# twentieth of all CPU.
gc.set_threshold(5_000, 20, 100)
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

CLOCK = (
    "live/",
    "cli/test_live_command.py",
    "validation/test_live_against_simulated.py",
)
#: Modules whose tests share results that take long to make, or what they compile.
SHARING = (
    "cli/test_fit_command.py",
    "experiments/test_batch_runs.py",
    "output/test_damaged_results.py",
    "output/test_html.py",
    "output/test_records.py",
    "simulation/test_clock_values.py",
    "simulation/test_compiled_engine.py::test_one_s_own_law",
    "simulation/test_hosted_clocks.py",
    "simulation/test_user_code.py",
    "test_documents.py",
    "test_figures.py",
    "test_goldens.py",
    "test_notebooks.py::test_live_against_virtual",
    "test_notebooks.py::test_your_own_service",
)
#: Beginnings of the tests that are marked `slow`: they take seconds, or compile or host much.
SLOW = (
    "cli/test_live_command.py::test_a_callable",
    "cli/test_live_command.py::test_a_line_a_second",
    "cli/test_live_command.py::test_a_signal_ends_it",
    "cli/test_live_command.py::test_a_url",
    "cli/test_live_command.py::test_conditions_set_the_exit_code",
    "cli/test_live_command.py::test_one_that_had_an_end",
    "cli/test_live_command.py::test_stages_end_it_and_quotas_hold_it_back",
    "cli/test_main.py::test_a_sigterm_that_python_dropped",
    "cli/test_main.py::test_an_earlier_result_is_replaced_and_other_files_are_not",
    "cli/test_main.py::test_an_interrupt_stops",
    "cli/test_main.py::test_compare_writes_table_pictures_summaries_and_traces",
    "cli/test_main.py::test_equal_runs_write",
    "cli/test_scenario_file_commands.py::test_explore_takes_it",
    "cli/test_scenario_file_commands.py::test_sweep_and_tune",
    "cli/test_serve.py::test_a_connection_on_which_nothing_comes_is_closed",
    "controllers/test_codel.py::test_slot_by_slot_as_a_queue_that_is_worked_as_the_rfc_says",
    "controllers/test_contract.py::test_finite_observations",
    "controllers/test_contract.py::test_states_are_sound",
    "controllers/test_contract.py::test_the_origin_of_time",
    "controllers/test_contract.py::test_why_is_one_line",
    "controllers/test_sre_throttling.py::test_it_sends_k_times",
    "core/test_fingerprint.py::test_a_cell_that_is_run_again",
    "core/test_fingerprint.py::test_a_law_that_was_not_taken",
    "core/test_fingerprint.py::test_a_sweep_after_an_edit",
    "core/test_fingerprint.py::test_of_what_has_no_key",
    "core/test_fingerprint.py::test_runs_of_code_that_changes_as_it_runs_are_not_kept",
    "core/test_locks.py::test_the_second_is_refused_and_the_first_goes_on",
    "core/test_slots.py::test_a_million_slots_do_not_drift",
    "core/test_slots.py::test_slot_k_is_where_the_exact_integral_reaches_k",
    "core/test_states.py::test_a_law_that_numba",
    "core/test_streams.py::test_a_closed_or_full_stderr_ends_nothing",
    "core/test_streams.py::test_a_closed_or_full_stdout_is_reported_in_one_line_after_the_work",
    "core/test_streams.py::test_a_name_that_is_no_text_is_printed_escaped",
    "core/test_streams.py::test_a_reader_who_leaves_ends_it_quietly",
    "core/test_streams.py::test_another_alphabet_gets_plain_letters",
    "core/test_streams.py::test_the_results_are_whole_before_a_word_of_them_is_printed",
    "core/test_streams.py::test_the_view_of_a_live_run_may_be_lost",
    "experiments/test_analysis.py::test_a_law_that_never_rises_has_no_predicted_rest",
    "experiments/test_analysis.py::test_busy_time_rests_swings_and_recovers_as_predicted",
    "experiments/test_analysis.py::test_of_what_does_not_apply_nothing_is_drawn",
    "experiments/test_analysis.py::test_the_describing_function_of_a_lagging_ewma_is_refused",
    "experiments/test_analysis.py::test_two_seeds_have_no_noise_in_common",
    "experiments/test_batch_runs.py",
    "experiments/test_compare.py::test_ones_own_law",
    "experiments/test_compare.py::test_the_document_is_the_same",
    "experiments/test_counterfactual.py::test_another_law",
    "experiments/test_counterfactual.py::test_the_page_of_a_replay",
    "experiments/test_explore.py::test_every_arena",
    "experiments/test_explore.py::test_in_a_notebook",
    "experiments/test_random_services.py::test_both_engines",
    "experiments/test_grids.py::test_a_grid_out_of_order",
    "experiments/test_grids.py::test_the_command_writes_the_pictures",
    "experiments/test_fit.py::test_a_constant_service_that_is_seldom_full_shows_servers_and_delay",
    "experiments/test_fit.py::test_a_long_recording_is_searched",
    "experiments/test_fit.py::test_a_sharp_edge_",
    "experiments/test_fit_costs.py::test_costs_that_make",
    "experiments/test_fit_costs.py::test_what_a_unit",
    "experiments/test_fit_crowding.py::test_a_",
    "experiments/test_fit_crowding.py::test_servers_alone",
    "experiments/test_fit_jitter.py::test_a_law",
    "experiments/test_fit_timeouts.py::test_servers_and_mean",
    "experiments/test_fit.py::test_a_step_of_the_service_is_found_with_servers_and_mean",
    "experiments/test_fit.py::test_each_distribution_on_three_servers_behind_a_delay",
    "experiments/test_fit.py::test_servers_that_were_never_all_at_work_are_a_bound",
    "experiments/test_fit.py::test_stamps_of_whole_milliseconds_tell_servers_and_mean",
    "experiments/test_fit.py::test_the_number_of_servers_is_exact",
    "experiments/test_fit_of_shared_traces.py",
    "experiments/test_held_out.py::test_the_true_service_holds",
    "experiments/test_service_draws.py::test_what_leaves_the_delay_open",
    "experiments/test_league.py::test_what_a_law_of_ones_own_commands",
    "experiments/test_fitted_limits.py::test_a_limit_in_flight",
    "experiments/test_fitted_limits.py::test_a_quota_of_cost",
    "experiments/test_fitted_limits.py::test_a_rate_counts",
    "experiments/test_fitted_limits.py::test_two_quotas",
    "experiments/test_recommend.py::test_a_known_quota",
    "experiments/test_recommend.py::test_a_recording_is_fitted",
    "experiments/test_recommend.py::test_an_overload",
    "experiments/test_recommend.py::test_equal_arguments",
    "experiments/test_recommend.py::test_one_call_at_a_time",
    "experiments/test_replay.py::test_the_simulation_of_a_recording_is_the_recorded_run",
    "experiments/test_store.py::test_workers_with_other_code_are_not_believed",
    "experiments/test_sweep.py::test_a_sweep_that_is_killed",
    "experiments/test_sweep.py::test_an_interrupt",
    "experiments/test_sweep.py::test_bad_command_lines_get_exit_code_2",
    "experiments/test_sweep.py::test_the_table_does_not_depend",
    "experiments/test_sweep.py::test_workers_end_with_a_parent_that_is_killed",
    "experiments/test_sweep_dask.py",
    "experiments/test_tune.py::test_a_known_optimum",
    "experiments/test_tune.py::test_a_recording_of_calls_that_overlap_is_reported",
    "experiments/test_tune.py::test_a_search_that_is_killed",
    "experiments/test_tune.py::test_the_command_tunes_to_a_recording",
    "experiments/test_tune.py::test_a_value_at_the_edge_of_the_search_is_said",
    "experiments/test_tune.py::test_conflicts_and_laws_that_raise_are_no_crash",
    "experiments/test_tune.py::test_no_parameter_is_lost_to_another_column_of_its_name",
    "experiments/test_tune.py::test_nobody_judges_by_default_on_the_noise_of_a_search",
    "experiments/test_tune.py::test_only_the_arguments",
    "experiments/test_tune.py::test_the_constants_of_the_article_are_beaten_on_fresh_seeds",
    "experiments/test_tune.py::test_the_worst_scenario_of_each_replication_counts",
    "experiments/test_tune.py::test_what_is_reported_are_runs_that_nothing_was_chosen_by",
    "live/test_calibration.py::test_the_command_and_its_model",
    "live/test_callees.py::test_a_body_takes_no_memory",
    "live/test_callees.py::test_a_request_that_nobody_reads_ends_too",
    "live/test_callees.py::test_it_says_what_it_waits_for_and_how_to_stop",
    "live/test_callees.py::test_one_deadline_bounds_the_whole_call",
    "live/test_callees.py::test_the_deadline_holds_for_an_encrypted_connection",
    "live/test_clients.py::test_a_run_that_is_refused_slows_down",
    "live/test_interrupts.py",
    "live/test_nginx.py",
    "live/test_pool_begins.py::test_what_waited_for_a_worker",
    "live/test_pool_begins.py::test_who_waits_for_its_begin_when_an_answer_comes_waits_on",
    "live/test_real_service.py",
    "live/test_recording.py::test_a_killed_run",
    "live/test_recording.py::test_a_recording_played_back",
    "live/test_recording.py::test_whatever_is_damaged",
    "live/test_runs.py::test_a_response_that_raises_nothing_is_seen_by_its_status",
    "live/test_secrets.py::test_a_process_of_its_own_says_nothing_more",
    "live/test_secrets.py::test_no_artefact_and_no_message_gives_a_secret_away",
    "live/test_shared_machine.py",
    "live/test_shared_time.py::test_a_wait_too_short_to_be_seen_takes_time",
    "live/test_shared_time.py::test_calls_that_fit_get_what_was_wanted",
    "live/test_stopped_loops.py::test_a_task_that_is_gone_with_its_turn_gives_back_nothing",
    "live/test_stopped_loops.py::test_it_holds_up_nobody",
    "live/test_stopped_loops.py::test_no_item_is_lost_or_comes_twice",
    "live/test_stopped_loops.py::test_one_that_runs_now_and_then_keeps_its_turn",
    "live/test_stopped_loops.py::test_who_has_lost_his_turn_gets_in_line_again",
    "live/test_throttle.py::test_a_throttle_leaves_no_garbage_for_the_collector",
    "live/test_throttle.py::test_ten_minutes_do_not_drift",
    "live/test_throttle.py::test_the_live_throttle_decides_as_the_model",
    "live/test_troubles.py::test_what_waited_for_a_full_pool_begins_as_the_policy_says",
    "live/test_warnings.py::test_a_task_that_blocks_the_event_loop_is_named_as_the_cause",
    "live/test_warnings.py::test_a_thread_that_computes_is_named_as_the_cause",
    "metrics/test_bursts.py::test_calls_of_a_whole_second_at_once_are_no_even_rate",
    "metrics/test_independent_measures.py::test_the_definitions_determine_every_value",
    "metrics/test_independent_measures.py::test_the_definitions_determine_odd_runs_too",
    "metrics/test_independent_measures.py::test_the_definitions_determine_runs_of_hidden_code",
    "metrics/test_measure.py::test_recovery_counts_from_the_rise_of_the_capacity",
    "metrics/test_measure.py::test_settling_counts_from_the_last_exit_in_the_last_phase",
    "metrics/test_measure.py::test_the_limits_of_producers_add_up",
    "metrics/test_verdicts.py::test_the_story_holds_on_another_seed",
    "output/test_damaged_results.py",
    "output/test_html.py",
    "output/test_plots.py::test_title_and_legend_of_rates_lie_within_the_figure",
    "output/test_results_dir.py::test_a_full_disk_in_the_middle",
    "output/test_results_dir.py::test_a_kill_at_any_moment",
    "scenarios/test_plant.py::test_calls_fail_with_the_given_probability_and_by_their_own_noise",
    "scenarios/test_scenario_files.py::test_all_fields_come_back",
    "scenarios/test_scenario_files.py::test_any_numbers_and_words",
    "scenarios/test_scenario_files.py::test_each_value_is_on_the_line",
    "scenarios/test_user_reports.py::test_both_engines_show_it_to_the_bit",
    "simulation/test_ciw.py::test_waiting_times_agree",
    "simulation/test_clock_values.py",
    "simulation/test_compiled_cache.py::test_commands_are_right_after",
    "simulation/test_compiled_cache.py::test_damaged_code",
    "simulation/test_compiled_engine.py::test_a_class_redefined",
    "simulation/test_compiled_engine.py::test_an_edited_law_file",
    "simulation/test_compiled_engine.py::test_drawn",
    "simulation/test_compiled_engine.py::test_every_controller",
    "simulation/test_compiled_engine.py::test_one_s_own_law",
    "simulation/test_general_loop.py::test_scenarios_over_all",
    "simulation/test_general_loop.py::test_two_thousand",
    "simulation/test_hosted_clocks.py",
    "simulation/test_law_costs_in_runs.py::test_adaptive_laws_serve",
    "simulation/test_law_costs_in_runs.py::test_calls_of_one_cost",
    "simulation/test_law_by_address.py::test_a_process_ends",
    "simulation/test_law_by_address.py::test_its_own_loop_is_compiled",
    "simulation/test_law_by_address.py::test_what_a_law_raises",
    "simulation/test_law_by_address.py::test_whenever_a_thread",
    "simulation/test_random_runs.py::test_500_pairs",
    "simulation/test_runner.py",
    "simulation/test_shared_arithmetic.py",
    "simulation/test_soundness.py::test_a_printed_throttle_releases_all_that_is_wanted",
    "simulation/test_user_code.py",
    "test_benchmarks.py::test_another_tree_is_one_and_the_tasks_are_known",
    "test_doctests.py::test_examples",
    "test_documents.py::test_command[",
    "test_documents.py::test_snippet[",
    "test_documents.py::test_the_pages_of_the_api",
    "test_documents.py::test_the_table_of_headroom",
    "test_figures.py::test_a_claim",
    "test_figures.py::test_the_rows_of_a_table",
    "test_notebooks.py",
    "test_optimised.py",
    "test_promises.py::test_a_promise_is_kept",
    "test_promises.py::test_the_figures_of_the_document_are_what_is_found",
    "test_speeds.py::test_one_process",
    "theory/test_theory.py::test_predictions_are_within_a_fifth_of_the_simulated_boundary",
    "theory/test_theory.py::test_the_reference_loop_in_time",
    "validation/test_live_against_simulated.py::test_a_short_run",
    "validation/test_loads_and_quotas.py",
    "validation/test_validate.py::test_a_release_rule_that_drifts_fails",
    "validation/test_validate.py::test_a_wrong_latency_fails",
    "validation/test_validate.py::test_every_case_holds",
    "validation/test_validate.py::test_one_server_too_many_fails",
    "simulation/test_compiling_savings.py::test_linear_algebra",
    "output/test_records.py",
    "cli/test_fit_command.py",
    "experiments/test_processes.py",
    "simulation/test_law_by_address.py::test_what_is_compiled_beside",
)


def group_of(test: str) -> tuple[int, str]:
    """The rank and the name of a test's group; a test is named as in `SLOW`."""
    module = test.partition("::")[0]
    if module.startswith(CLOCK):
        return 0, "clock"
    if test.startswith(SHARING):
        return 1, module
    return (2, test) if test.startswith(SLOW) else (3, module)


def name_of(nodeid: str) -> str:
    return nodeid.removeprefix("tests/")


class Groups(LoadScopeScheduling):
    """Gives each process the next group.

    The mark `xdist_group` has no effect with pytest 9.2 (pytest-xdist 3.8).
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(name_of(nodeid))[1]


def pytest_configure() -> None:
    """Whoever runs the tests in the background of a shell hands down that SIGINT is ignored; the
    programs that tests start, and interrupt, are to begin as those in a terminal do.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    config.option.loadscopereorder = False
    return Groups(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if name_of(item.nodeid).startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):  # one of xdist's processes
        items.sort(key=lambda item: group_of(name_of(item.nodeid))[0])


_search = contextlib.ExitStack()
_searches: list[Any] = []  # the one that lasts, if any


@pytest.fixture
def searched_once() -> None:
    """Hosted runs of this test, and of those after it that ask for the same, share one search
    through memory for clocks: it is most of what a short run takes.
    """
    if not _searches:
        _searches.append(_search.enter_context(rebound()))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    if "searched_once" not in getattr(nextitem, "fixturenames", ()):
        _search.close()
        _searches.clear()


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
    for name in ("placed", "specialised"):
        asked = getattr(compiling, name)
        monkeypatch.setattr(
            compiling,
            name,
            lambda law, other, asked=asked: asked(law, other) if ours(type(law)) else None,
        )


@pytest.fixture
def chosen_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tune` chooses and judges by few runs: where it counts that it does, not what."""
    monkeypatch.setattr(tuning, "CHOOSING", 20)
    monkeypatch.setattr(tuning, "JUDGING", 20)
