"""The commands `mw VERB`: one file a verb, found by its name; only the verb asked for is imported.

A verb is one file, `cli/VERB.py` (a leading `_` means not a verb), that holds

1. a docstring, whose first line is the one-line help of `mw --help` and whose whole is the help of
   `mw VERB --help`;
2. a function `command`, typed for typer. It returns an `Answer` (`cli.output`): `data` is what
   `--json` prints, `text` what a person reads, `exit` the exit code (0, or 3 for a failed gate):

        \"\"\"Digests, golden rows on this machine, licences.\"\"\"

        def command(bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")]) -> Answer:
            from modelwright.package.verify import verify      # heavy imports inside

            report = verify(bundle)
            return Answer(report.as_dict(), report.text(), exit=0 if report.holds else 3)

`main` adds `--json` to every verb and does the rest: errors become text on stderr or one JSON
object on stdout, exit codes follow the contract, Ctrl-C and SIGTERM end with 130. A verb therefore
raises `UserError` or `GateError` and catches nothing; it prints nothing on stdout, except where it
streams rows (then it takes its own `--json` option, and `main` adds none). Progress goes to stderr
by `runtime.progress`.

A verb that has verbs of its own gives typer an `app` instead of `command`.
"""
