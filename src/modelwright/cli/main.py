"""`mw`: finds the verb, runs it, and turns whatever happens into the contract's exit code.

0 done   1 our fault   2 yours to change   3 a gate failed   130 interrupted, can go on
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType, TracebackType
from typing import Any, NoReturn

from modelwright import __version__
from modelwright.cli import output, verbs
from modelwright.errors import ModelwrightError, Problem, UserError, did_you_mean

# pydantic asks every installed distribution for plugins when it is first used: 60 ms of a start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

DONE, OURS, YOURS, INTERRUPTED = 0, 1, 2, 130
_COMPLETION = (["--install-completion"], ["--show-completion"])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; prints as the contract says."""
    signal.signal(signal.SIGTERM, _terminate)
    _prefer_utf8()
    guard = _Guard(arguments)
    with guard:
        guard.exit = _dispatch(list(arguments), as_json=guard.as_json)
    return guard.exit


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _prefer_utf8() -> None:
    """Under a C locale, text that the terminal cannot show is escaped instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")


def _dispatch(arguments: list[str], *, as_json: bool) -> int:
    if "_MW_COMPLETE" in os.environ or arguments[:1] in _COMPLETION:
        from modelwright.cli.completion import complete

        return complete(arguments)
    verb = next((word for word in arguments if not word.startswith("-")), None)
    before = arguments if verb is None else arguments[: arguments.index(verb)]
    if "--version" in before:
        output.show_answer(
            output.Answer({"version": __version__}, f"modelwright {__version__}"), as_json=as_json
        )
        return DONE
    if verb is None or {"--help", "-h"} & set(before):
        strange = [word for word in before if word not in {"--help", "-h", "--json"}]
        if strange:
            raise _unknown_option(strange[0])
        output.show_answer(_overview(), as_json=as_json)
        return DONE
    if verb not in verbs.names():
        raise UserError(
            "MW-805",
            f"there is no command `{verb}`",
            expected=f"one of {', '.join(verbs.names())}",
            fix=did_you_mean(verb, verbs.names()),
        )
    arguments.remove(verb)
    return _run_verb(verb, arguments, as_json=as_json)


def _unknown_option(option: str) -> UserError:
    return UserError(
        "MW-805",
        f"there is no option `{option}` before the command",
        expected="mw [--help | --version] COMMAND [OPTIONS]",
        fix="put the options after the command; `mw --help` lists the commands",
    )


def _overview() -> output.Answer:
    summaries = {name: verbs.summary(name) for name in verbs.names()}
    rows = [(name, text) for name, text in summaries.items()]
    text = (
        "usage: mw COMMAND [OPTIONS]\n\n"
        "From raw data to a monitored model service with one recipe.\n\n"
        f"{output.table(rows, indent='  ')}\n\n"
        "Every command has --help and --json. A first run:\n"
        "  mw new DATA -o recipe.yaml && mw run recipe.yaml"
    )
    return output.Answer({"commands": summaries, "version": __version__}, text)


def _run_verb(verb: str, arguments: list[str], *, as_json: bool) -> int:
    """Import one verb, let typer read its arguments, show its answer."""
    command = command_of(verb)
    import typer

    usage_error = _ancestor(typer.BadParameter, "ClickException")
    try:
        # Not `command.main`: that swallows interrupts and closed pipes.
        with command.make_context(f"mw {verb}", arguments) as context:
            answer = command.invoke(context)
    except typer.Exit as leave:
        return leave.exit_code
    except usage_error as error:
        raise UserError(
            "MW-805",
            error.format_message(),
            expected=command.get_usage(_context(command, verb)).removeprefix("Usage: "),
            fix=f"`mw {verb} --help` tells the arguments",
        ) from None
    except typer.Abort:
        raise KeyboardInterrupt from None
    if isinstance(answer, output.Answer):
        output.show_answer(answer, as_json=as_json)
        return answer.exit
    return answer if isinstance(answer, int) else DONE


def command_of(verb: str) -> Any:
    """The verb's click command, with `--json` added where it has none of its own."""
    import typer

    module = import_module(f"modelwright.cli.{verb}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        paragraphs = (module.__doc__ or "").strip().split("\n\n")
        app.command(
            name=verb,
            help="\n\n".join(f"\b\n{paragraph}" for paragraph in paragraphs),
            context_settings={"help_option_names": ["-h", "--help"]},
        )(module.command)
    for registered in app.registered_commands:
        if registered.callback is not None:
            registered.callback = _with_json(registered.callback)
    return typer.main.get_command(app)


def _with_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with a `--json` option, which the guard reads from the command line."""
    import inspect
    from typing import Annotated, get_type_hints

    import typer

    hints = get_type_hints(command, include_extras=True)
    extras = [item for hint in hints.values() for item in getattr(hint, "__metadata__", ())]
    own = any("--json" in (getattr(item, "param_decls", None) or ()) for item in extras)
    if own or "json_" in hints:  # its own, or given to it before
        return command

    def wrapped(**values: Any) -> Any:
        values.pop("json_", None)
        return command(**values)

    option = typer.Option("--json", help="Print one JSON object on stdout, for errors too.")
    signature = inspect.signature(command)
    parameters = [p.replace(annotation=hints[name]) for name, p in signature.parameters.items()]
    parameters.append(
        inspect.Parameter(
            "json_",
            inspect.Parameter.KEYWORD_ONLY,
            default=False,
            annotation=Annotated[bool, option],
        )
    )
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    wrapped.__name__ = command.__name__
    return wrapped


def _context(command: Any, verb: str) -> Any:
    return command.context_class(command, info_name=f"mw {verb}")


def _ancestor(cls: type, name: str) -> Any:
    """A base class by name: typer carries its own copy of click and does not export all of it."""
    return next(base for base in cls.__mro__ if base.__name__ == name)


class _Guard:
    """Turns what a command raises into text and an exit code; nothing escapes it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        words = list(arguments)
        plain = words[: words.index("--")] if "--" in words else words
        self.as_json = "--json" in plain
        self.command = shlex.join(["mw", *words])
        self.exit = DONE

    def __enter__(self) -> _Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            return True
        if isinstance(error, SystemExit):
            self.exit = error.code if isinstance(error.code, int) else OURS
        elif isinstance(error, BrokenPipeError):
            self._reader_left()
        elif isinstance(error, KeyboardInterrupt):
            self._interrupted()
        elif isinstance(error, ModelwrightError) and error.exit_code != OURS:
            self._report(error.problems, error.exit_code)
        else:
            self._our_fault(error)
        return True

    def _report(self, problems: list[Problem], exit_code: int, trace: str = "") -> None:
        self.exit = exit_code
        try:
            output.show_problems(problems, exit_code, as_json=self.as_json, trace=trace)
        except BrokenPipeError:
            self._reader_left()
            self.exit = exit_code

    def _reader_left(self) -> None:
        """The reader of our output (head, less) has closed it: that is no error."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self.exit = DONE

    def _interrupted(self) -> None:
        self.exit = INTERRUPTED
        if self.as_json:
            output.print_json({"error": {"problems": [], "interrupted": True}, "exit": INTERRUPTED})
        print(f"interrupted; the same command goes on:\n  {self.command}", file=sys.stderr)

    def _our_fault(self, error: BaseException) -> None:
        import platform
        import traceback

        if isinstance(error, ModelwrightError):
            seen = error.problems[0].seen
        else:
            seen = f"{type(error).__name__}: {error}"
        problem = Problem(
            code="MW-901",
            seen=seen,
            fix="report it with the trace above, the recipe, and these lines: "
            f"{self.command}; modelwright {__version__}, Python {platform.python_version()}, "
            f"{platform.platform()}",
        )
        self._report([problem], OURS, trace="".join(traceback.format_exception(error)))
