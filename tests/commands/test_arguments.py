"""Options that commands share."""

import pytest

from utils.commands import peak_study, studies
from utils.commands.arguments import SHARED, command_parser


def test_each_option_has_its_default_and_a_command_may_set_another():
    parser = command_parser("utils.commands.report", "Some words.", *SHARED)
    expected = {"data": "auto", "seeds": 3, "hold_out": 0, "precision": None}
    assert vars(parser.parse_args([])) == expected
    parser.set_defaults(hold_out=5_000)
    assert parser.parse_args(["--seeds", "5"]).hold_out == 5_000
    assert parser.format_usage().startswith("usage: python -m utils.commands.report [-h] [--data")


@pytest.mark.parametrize("command", [peak_study, studies])
def test_help_names_the_command_and_explains_the_shared_options(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    assert f"usage: python -m {command.__name__} " in text
    for name in ("--data", "--seeds", "--hold-out"):
        assert SHARED[name]["help"] in text
