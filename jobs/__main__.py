"""The console command. Each command imports what it needs when it is called: help and status stay quick."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from configs.load import SettingsError, load
from engine.core.domain.errors import BadInput, Refused, WhydeskError

app = typer.Typer(
    name="whydesk",
    help="A trading desk that writes down why, and can be asked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
journal_app = typer.Typer(help="The chain of records.", no_args_is_help=True)
data_app = typer.Typer(help="Files of bars.", no_args_is_help=True)
models_app = typer.Typer(help="Trained models.", no_args_is_help=True)
app.add_typer(journal_app, name="journal")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; logs on stderr.")]
HomeDir = Annotated[Path, typer.Option("--home", help="Store, models and reports.")]
Profile = Annotated[str, typer.Option("--profile", help="A shipped profile or a YAML file.")]
Files = Annotated[
    list[Path], typer.Option("--data", help="CSV or parquet: ts, open, high, low, close, volume.")
]
More = Annotated[list[Path] | None, typer.Argument(help="More files.", show_default=False)]
From = Annotated[str, typer.Option("--from", help="First day or moment, included (UTC).")]
To = Annotated[str, typer.Option("--to", help="Day or moment to stop before (UTC).")]
Symbol = Annotated[str, typer.Option("--symbol", help="Which symbol of a file that holds several.")]
VAR = Path("var")
EXTRAS = {
    "aiohttp": "live", "arch": "demo", "asyncpg": "postgres", "ccxt": "live", "discord": "chat", "onnx": "ml",
    "onnxmltools": "ml", "onnxruntime": "ml", "psycopg": "postgres", "skl2onnx": "ml", "telegram": "chat",
    "tenacity": "live", "xgboost": "ml",
}  # fmt: skip
"""Which extra brings a module that a light installation does without."""

# Every command takes --home, --profile and --json, also where one of them changes nothing: a script need not know.


def _version(asked: bool) -> None:
    if asked:
        from jobs.version import code_version

        typer.echo(f"whydesk {code_version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="The version, as records name it.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Options before any command."""


@app.command()
def demo(
    home: HomeDir = VAR,
    profile: Profile = "demo",
    as_json: AsJson = False,
    start: Annotated[
        str, typer.Option("--from", help="Where training ends and trading begins.")
    ] = "2007-01-01",
    stop: To = "2019-01-01",
) -> None:
    """Train on the early years of real daily data, trade the rest on paper, and answer why."""
    from jobs import demo as job

    raise SystemExit(job.main(home, load(profile, os.environ), start, stop, as_json=as_json))


@app.command()
def setup(
    home: HomeDir = VAR,
    profile: Profile = "live-paper",
    as_json: AsJson = False,
    name: Annotated[str, typer.Option(help="What the desk calls you.")] = "owner",
) -> None:
    """Make a profile that is talked to at Telegram: checks the token, finds your id, says the first words."""
    from jobs import setup as job

    job.main(home, profile, name, as_json=as_json)


@app.command()
def run(
    replay: Annotated[list[Path], typer.Option("--replay", help="Recorded bars to run on.")] = [],  # noqa: B006
    more: More = None,
    speed: Annotated[float, typer.Option(help="Times as fast as life; 0 does not wait.", min=0)] = 0.0,
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    symbol: Symbol = "",
    start: From = "",
    stop: To = "",
    chat: Annotated[bool, typer.Option(help="Read commands from the terminal while it runs.")] = True,
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait while another copy runs, and take over when it is gone.")
    ] = False,
) -> None:
    """Run the desk: live on the exchange of the profile, or with --replay on recorded bars as if they were live."""
    settings = load(profile, os.environ)
    if not replay:
        from jobs import live

        live.main(home, settings, chat=chat and not as_json, as_json=as_json, standby=standby)
        return
    from jobs import run as job

    job.main(
        home,
        settings,
        [*replay, *(more or ())],
        speed,
        symbol,
        start,
        stop,
        chat=chat and not as_json,
        as_json=as_json,
        standby=standby,
    )


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def watchdog(
    context: typer.Context,
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    attach: Annotated[
        bool, typer.Option("--attach", help="Watch a desk that somebody else starts; never start one.")
    ] = False,
) -> None:
    """Run the desk under watch: halted, cancelled, told and started again when it freezes. Options as for `run`."""
    from jobs import watchdog as job

    words = [*context.args, "--home", str(home), "--profile", profile, *(["--json"] if as_json else [])]
    raise SystemExit(job.main(home, load(profile, os.environ), profile, words, attach=attach))


@app.command()
def backtest(
    data: Files,
    more: More = None,
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    symbol: Symbol = "",
    start: From = "",
    stop: To = "",
    journal: Annotated[bool, typer.Option(help="Keep every decision, so that it can be asked why.")] = True,
    stress: Annotated[
        bool, typer.Option("--stress", help="Put the desk through days that broke others, too.")
    ] = False,
    scenario: Annotated[
        list[str] | None,
        typer.Option(help="Only these scenarios; all where none is named.", show_default=False),
    ] = None,
) -> None:
    """Decide every bar of a file as the desk would have, and say honestly what came of it."""
    from jobs import backtest as job

    settings = load(profile, os.environ)
    job.main(
        home,
        settings,
        [*data, *(more or ())],
        symbol,
        start,
        stop,
        keep=journal,
        as_json=as_json,
        stressed=stress,
        scenarios=scenario or (),
    )


@app.command()
def train(
    data: Files,
    more: More = None,
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    symbol: Symbol = "",
    start: From = "",
    stop: To = "",
    name: Annotated[str, typer.Option(help="What the model is called.")] = "signal",
) -> None:
    """Fit a signal model with purged walk-forward folds and publish it."""
    from jobs import train as job

    job.main(
        home, load(profile, os.environ), [*data, *(more or ())], symbol, start, stop, name, as_json=as_json
    )


@app.command()
def ask(question: str, home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False) -> None:
    """Ask why; the answer is from the records or there is none."""
    from jobs import console as job

    raise SystemExit(job.ask(home, load(profile, os.environ), question, as_json=as_json))


@app.command()
def cmd(command: str, home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False) -> None:
    """Any chat command, such as "/trades 5"."""
    from jobs import console as job

    raise SystemExit(job.command(home, load(profile, os.environ), command, as_json=as_json))


@app.command()
def status(home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False) -> None:
    """State, since when, by whom; works without engine, chat or venue."""
    from jobs import switches as job

    job.status(home, load(profile, os.environ), as_json=as_json)


@app.command()
def kill(
    reason: Annotated[str, typer.Argument(help="Why, for the record.")] = "",
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Also close everything, through the engine that runs.")
    ] = False,
) -> None:
    """Halt: nothing that adds risk leaves the desk. Works without engine, chat or venue."""
    from jobs import switches as job

    settings = load(profile, os.environ)
    job.switch(home, settings, "kill", reason, as_json=as_json, quiet=flatten)
    if flatten:  # the desk is halted already, whatever comes of this
        from jobs import console

        raise SystemExit(console.command(home, settings, f"/kill flatten {reason}", as_json=as_json))


@app.command()
def pause(
    reason: Annotated[str, typer.Argument(help="Why, for the record.")] = "",
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
) -> None:
    """Open nothing new; positions may still be closed. `whydesk resume` trades again."""
    from jobs import switches as job

    job.switch(home, load(profile, os.environ), "pause", reason, as_json=as_json)


@app.command()
def lock(
    name: Annotated[str, typer.Argument(help="An instrument, an alpha, manual or venue.")],
    reason: Annotated[str, typer.Argument(help="Why, for the record.")] = "",
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
) -> None:
    """Open nothing new in a part of the desk. Works without engine, chat or venue."""
    from jobs import switches as job

    job.lock(home, load(profile, os.environ), name, reason, locks=True, as_json=as_json)


@app.command()
def unlock(
    name: Annotated[str, typer.Argument(help="What was locked.")],
    reason: Annotated[str, typer.Argument(help="Why, for the record.")] = "",
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
) -> None:
    """Let a part of the desk open positions again."""
    from jobs import switches as job

    job.lock(home, load(profile, os.environ), name, reason, locks=False, as_json=as_json)


@app.command()
def risk(home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False) -> None:
    """Every limit of the desk, what is used of it, and what is locked."""
    from jobs import switches as job

    job.risk(home, load(profile, os.environ), as_json=as_json)


@app.command()
def resume(
    reason: Annotated[str, typer.Argument(help="Why, for the record.")] = "",
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
) -> None:
    """From halted to reducing, and from reducing to active: two steps on purpose."""
    from jobs import switches as job

    job.switch(home, load(profile, os.environ), "resume", reason, as_json=as_json)


@app.command()
def report(
    day: Annotated[str, typer.Option("--day", help="A UTC date, or last.")] = "last",
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
) -> None:
    """The daily report, with a chart as HTML beside it."""
    from jobs import report as job

    job.main(home, load(profile, os.environ), day, as_json=as_json)


@journal_app.command("export")
def journal_export(
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    orders: Annotated[bool, typer.Option("--orders", help="Every order, with what became of it.")] = False,
) -> None:
    """Every record as a line of JSON, oldest first; with --json no different."""
    from jobs import journal as job

    (job.export_orders if orders else job.export)(home, load(profile, os.environ))


@journal_app.command("verify")
def journal_verify(
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    anchor: Annotated[
        list[str] | None,
        typer.Option("--anchor", help="A file of anchors, or one as it was posted.", show_default=False),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="The public half of the key that signed the anchors.", show_default=False),
    ] = None,
) -> None:
    """Walk the hash chain, hold it against its anchors, and say where it first breaks."""
    from jobs import journal as job

    raise SystemExit(job.verify(home, load(profile, os.environ), anchor or [], key, as_json=as_json))


@journal_app.command("anchor")
def journal_anchor(
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    accept: Annotated[
        str, typer.Option(help="Why the journal as it is counts, against its anchors.", metavar="WHY")
    ] = "",
) -> None:
    """The newest record's link, signed, as one line to post elsewhere and to check against later."""
    from jobs import journal as job

    job.anchor(home, load(profile, os.environ), accept, as_json=as_json)


@journal_app.command("replay")
def journal_replay(home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False) -> None:
    """Take every decision again from its recorded inputs and compare."""
    from jobs import journal as job

    raise SystemExit(job.replay_all(home, load(profile, os.environ), as_json=as_json))


@data_app.command("check")
def data_check(
    data: Annotated[list[Path], typer.Argument(help="CSV or parquet files.")],
    home: HomeDir = VAR,
    profile: Profile = "paper",
    as_json: AsJson = False,
    symbol: Symbol = "",
) -> None:
    """Say what is wrong with files of bars: gaps, doubles, impossible prices, spikes, frozen values."""
    from jobs import check_data as job

    raise SystemExit(job.main(load(profile, os.environ), data, symbol, as_json=as_json))


@models_app.command("list")
def models_list(home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False) -> None:
    """Published models, oldest first."""
    from jobs import models as job

    job.list_models(home, as_json=as_json)


@models_app.command("show")
def models_show(name: str, home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False) -> None:
    """The card of the version in use."""
    from jobs import models as job

    job.show_model(home, name, as_json=as_json)


@models_app.command("promote")
def models_promote(
    name: str, version: str, home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False
) -> None:
    """Put a published version to use."""
    from jobs import models as job

    job.promote(home, name, version, as_json=as_json)


@models_app.command("rollback")
def models_rollback(
    name: str, home: HomeDir = VAR, profile: Profile = "paper", as_json: AsJson = False
) -> None:
    """Go back to the version that was in use before."""
    from jobs import models as job

    job.rollback(home, name, as_json=as_json)


def main() -> None:
    """Run the command; errors are one line on stderr and an exit code: 1 refused, 2 bad input."""
    before = os.umask(0o077)  # what a desk writes down is for its owner's eyes
    try:
        _guarded(app)
    finally:
        os.umask(before)


def _guarded(command: Callable[[], Any]) -> None:
    try:
        command()
    except (BadInput, SettingsError) as error:
        _leave(2, error)
    except WhydeskError as error:
        _leave(1, error)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        _leave(2, BadInput(f"{module} is not installed: pip install 'whydesk[{EXTRAS[module]}]'"))
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        _leave(1, Refused(f"{error.filename}: {error.strerror}" if error.filename else str(error)))


def _leave(code: int, error: Exception) -> None:
    line = " ".join(str(error).split())
    # A broken file's bytes may stand in the message; a terminal would obey some of them.
    sys.stderr.write("".join(c if c.isprintable() else "?" for c in line) + "\n")
    raise SystemExit(code) from None


if __name__ == "__main__":
    main()
