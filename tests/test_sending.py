"""Options that several commands share: stated once, shown by each, and handed on."""

import inspect
from typing import Annotated, Any

import msgspec
import pytest
import typer
import typer.main
from typer.testing import CliRunner

from pipeline import api
from pipeline.cli.options import Showing
from pipeline.cli.sending import Running, Sending, unfolded


class Group(msgspec.Struct, frozen=True, kw_only=True):
    loud: Annotated[bool, typer.Option("--loud", help="Say it loudly.")] = False
    number: Annotated[int, typer.Option(min=1)] = 3


def run(*arguments: str) -> tuple[int, list[Any]]:
    app, got = typer.Typer(), []

    @app.command()
    @unfolded
    def say(
        word: Annotated[str, typer.Argument()],
        *,
        first: Annotated[int, typer.Option()] = 0,
        group: Group,
        last: Annotated[bool, typer.Option("--last")] = False,
    ) -> None:
        """Says a word."""
        got.extend([word, first, group, last])

    return CliRunner().invoke(app, [*arguments]).exit_code, got


def test_a_command_gets_the_group_and_its_defaults() -> None:
    assert run("hello") == (0, ["hello", 0, Group(), False])
    assert run("hello", "--number", "7", "--loud", "--last") == (
        0,
        ["hello", 0, Group(loud=True, number=7), True],
    )


def test_the_fields_are_checked_like_other_options() -> None:
    assert run("hello", "--number", "0")[0] == 2
    assert run("hello", "--group", "0")[0] == 2


@pytest.mark.parametrize("name", ["run", "retry", "quick"])
def test_help_has_shared_options_once_and_in_one_order(name: str) -> None:
    from pipeline.cli.commands import app

    root: Any = typer.main.get_command(app)
    options = [parameter.name for parameter in root.commands[name].params]
    assert len(options) == len(set(options))
    for group in (Sending if name == "quick" else Running, Showing):
        first = options.index(group.__struct_fields__[0])
        assert tuple(options[first : first + len(group.__struct_fields__)]) == (
            group.__struct_fields__
        )


@pytest.mark.parametrize("kind", [Sending, Running])
def test_every_shared_option_is_an_argument_of_the_api(kind: type[Sending]) -> None:
    asked = kind().asked()
    assert len(asked) == len(kind.__struct_fields__)
    defaults = {name: p.default for name, p in inspect.signature(api.run).parameters.items()}
    assert asked == {name: defaults[name] for name in asked}
