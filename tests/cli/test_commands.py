"""The command that stands in every result makes it again, and says nothing that is secret."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest
from helpers import ROOT

from tpssim.cli.commands.run_records import REPEATED, command
from tpssim.cli.main import _parser
from tpssim.core.loading import load
from tpssim.output.results_dir import file_name

# where it goes, and how it is made
PLACES = {
    "out",
    "json",
    "store",
    "record",
    "workers",
    "dask",
    "quiet",
}

#: Of no number: what is printed beside, and what stands there without its secrets.
HIDDEN = {"verbose", "data", "header", "command", "url"}
UNRECORDED = {"list", "report", "serve"}  # verbs that leave no command behind


@pytest.mark.parametrize(
    "text",
    [
        (
            "compare --scenarios stall spikes:duration=20 --controllers fixed aimd --late burst"
            " --late delay"
        ),
        "compare --throttle mine.py:paced other.py:paced --replications 3 --seed 7",
        (
            "live --url http://127.0.0.1:8000/ --tps 50 --total 10 --fail-if 'rate_error>1%'"
            " --fail-if 'drops>3'"
        ),
        "live --command ./send.sh --tps 50 --seconds 3 --async --max-in-flight 4",
        "simulate drift ewma-deadzone:alpha=0.25 --timer linux",
        "sweep alpha-deadzone --replications 2",
        "tune ewma-deadzone --scenarios stall drift",
        "analyse aimd --scenario blocking-steady",
        "recommend log.csv --for latency --tps 200 --columns start=a,latency=b --unit ms",
        "fit calls.csv -o mine.toml --holdout 0.25 --name /quick --plot",
    ],
)
def test_the_command_of_a_result_asks_for_the_same(text: str) -> None:
    asked = _parser().parse_args(shlex.split(text))
    asked.seed = 0 if asked.seed is None else asked.seed  # as the verb does
    again = _parser().parse_args(shlex.split(command(asked))[3:])

    def numbers(args: argparse.Namespace) -> dict[str, object]:
        return {name: value for name, value in vars(args).items() if name not in PLACES}

    assert numbers(again) == numbers(asked)


def test_every_option_of_every_verb_is_written_as_it_is_called() -> None:
    """A word of each option in turn, the others as by default: the command of it is understood, and
    asks for the same."""
    (verbs,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    for verb, parser in verbs.choices.items():
        if verb in UNRECORDED:
            continue
        placed = [a for a in parser._actions if not a.option_strings and a.nargs != "?"]
        needed = [a for a in parser._actions if a.option_strings and a.required]
        words = [verb, *(_word(a) for a in placed)]
        words += [word for a in needed for word in (a.option_strings[-1], _word(a))]
        for action in parser._actions:
            if not action.option_strings or action.dest in {"help", *PLACES, *HIDDEN}:
                continue
            given = [] if action.nargs == 0 else [_word(action)]
            asked = _parser().parse_args([*words, action.option_strings[-1], *given])
            asked.seed = 0 if getattr(asked, "seed", None) is None else asked.seed
            again = _parser().parse_args(shlex.split(command(asked))[3:])
            assert vars(again)[action.dest] == vars(asked)[action.dest], (verb, action.dest)


def _word(action: argparse.Action) -> str:
    """A value that an option or a place takes."""
    if action.choices:
        return str(next(iter(action.choices)))
    return "3" if action.type in (int, float) else "some"


def test_options_that_are_given_again_for_each_value_are_known() -> None:
    (verbs,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    appended = {
        action.dest
        for parser in verbs.choices.values()
        for action in parser._actions
        if type(action) is argparse._AppendAction
    }
    assert appended == REPEATED


def test_what_may_be_a_secret_of_a_request_is_not_written_down() -> None:
    url = "http://me:secret@127.0.0.1:8000/a;s=secret?token=secret#secret"
    asked = ["live", "--url", url, "--header", "Authorization: Bearer secret", "--tps", "5"]
    line = command(_parser().parse_args([*asked, "--data", "password=secret"]))
    assert "secret" not in line
    assert "'http://***@127.0.0.1:8000/a;***?***'" in line
    assert "'Authorization: ***'" in line
    assert "--data '***'" in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("./send.sh", "./send.sh"),
        ("curl -H 'Authorization: secret' http://h/", "'curl ***'"),
        ("TOKEN=secret /usr/bin/curl http://h/", "'curl ***'"),
        ("TOKEN=secret", "'***'"),
        ("https://me:secret@h/x", "'***'"),
        ("echo 'secret", "'echo ***'"),  # no shell could run it, but it is no reason to show it
        ("$(secret)", "'***'"),
    ],
)
def test_of_a_shell_command_the_program_alone_is_written_down(text: str, shown: str) -> None:
    line = command(_parser().parse_args(["live", "--command", text, "--tps", "5"]))
    assert f"--command {shown} --method" in line


def test_long_names_of_files_stay_distinct() -> None:
    long = "headroom:" + ",".join(f"parameter{k}=0.123456" for k in range(12))
    names = {file_name(long), file_name(long, "0"), file_name(long, "1"), file_name(long + "7")}
    assert len(names) == 4
    assert max(map(len, names)) <= 150


def test_code_that_is_loaded_can_import_what_stands_beside_it_when_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_it.py").write_text("ANSWER = 42\n")
    (tmp_path / "mine.py").write_text(
        "def call(k):\n    import beside_it\n    return beside_it.ANSWER\n"
    )
    monkeypatch.setattr("sys.path", ["elsewhere"])
    assert load("call", f"{tmp_path}/mine.py:call")(0) == 42


def test_the_options_of_every_verb_are_those_that_the_documents_promise() -> None:
    """docs/bench.md: every verb that runs something takes --seed, --out, --json; serve one."""
    text = " ".join((ROOT / "docs/bench.md").read_text(encoding="utf-8").split())
    assert (
        "Every verb that runs something takes `--seed`, `--out DIR` and `--json` (`serve` only"
        " `--seed`; `calibrate` draws nothing, so its seed changes nothing)" in text
    )
    (verbs,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    options = {name: set(parser._option_string_actions) for name, parser in verbs.choices.items()}
    runs = {name for name, known in options.items() if "--seed" in known}
    ran = "compare simulate sweep tune analyse validate live calibrate replay"
    assert set(ran.split()) <= runs
    assert not {"list", "report"} & runs  # which run nothing
    assert {name for name in runs - {"serve"} if not {"--out", "--json"} <= options[name]} == set()
    assert "it changes nothing" in " ".join(verbs.choices["calibrate"].format_help().split())
