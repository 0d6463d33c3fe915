"""Rules of the house that neither the linter nor the import contracts can see."""

import ast
from collections.abc import Iterator

from tests.architecture.source import FLOORS, dotted, find, sources

PURE = ("engine/core", "configs/schema")

# Where a chat or the other listeners must outlive anything: these write the failure down and go on.
MAY_CATCH_ALL = ("engine/live/bus.py", "bot/app.py", "bot/outbox.py")


def test_only_the_risk_review_makes_an_approval() -> None:
    makers = [
        place for place, call in find(ast.Call, *FLOORS) if dotted(call.func).rpartition(".")[2] == "Approved"
    ]

    assert {place.rpartition(":")[0] for place in makers} == {"engine/core/risk/review.py"}


def test_no_decimal_is_made_from_a_float() -> None:
    def is_float(node: ast.expr) -> bool:
        match node:
            case ast.UnaryOp(operand=operand):
                return is_float(operand)
            case ast.BinOp(left=left, right=right):
                return is_float(left) or is_float(right)
            case ast.Constant(value=value):
                return isinstance(value, float)
            case ast.Call(func=ast.Name(id="float")):
                return True
            case _:
                return False

    found = [
        place
        for place, call in find(ast.Call, *FLOORS)
        if dotted(call.func).rpartition(".")[2] == "Decimal" and any(is_float(value) for value in call.args)
    ]

    assert found == []


def test_the_core_does_not_reach_outside_through_a_builtin() -> None:
    """`hash` and `id` differ from one process to the next, which is chance by another name."""
    banned = {"open", "print", "input", "breakpoint", "hash", "id", "__import__", "globals", "vars"}
    found = [
        f"{place} {name}" for place, call in find(ast.Call, *PURE) if (name := dotted(call.func)) in banned
    ]

    assert found == []


def test_the_core_keeps_no_state_between_calls() -> None:
    assert [place for place, _ in find(ast.Global, *PURE)] == []


def test_whoever_catches_everything_raises_again_or_returns_a_named_failure() -> None:
    def catches_all(handler: ast.ExceptHandler) -> bool:
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        return any(kind is None or dotted(kind) in {"Exception", "BaseException"} for kind in kinds)

    def answers(handler: ast.ExceptHandler) -> bool:
        inside = [node for statement in handler.body for node in ast.walk(statement)]
        return any(
            isinstance(node, ast.Raise)
            or (isinstance(node, ast.Return) and not isinstance(node.value, ast.Constant | None))
            for node in inside
        )

    swallowed = [
        place
        for place, handler in find(ast.ExceptHandler, *FLOORS)
        if not place.startswith(MAY_CATCH_ALL) and catches_all(handler) and not answers(handler)
    ]

    assert swallowed == []


def test_the_engine_never_asks_in_which_mode_it_runs() -> None:
    """Mode is a choice of adapters, made once where they are put together."""
    words = {"paper", "live", "backtest", "PAPER", "LIVE", "BACKTEST", "is_paper", "is_live", "is_backtest"}

    def conditions() -> Iterator[tuple[str, ast.expr]]:
        yield from ((place, node.test) for place, node in find(ast.If, "engine"))
        yield from ((place, node.test) for place, node in find(ast.IfExp, "engine"))
        yield from ((place, node.test) for place, node in find(ast.While, "engine"))
        for place, part in find(ast.comprehension, "engine"):
            yield from ((place, test) for test in part.ifs)
        yield from ((place, node.subject) for place, node in find(ast.Match, "engine"))

    def named(node: ast.AST) -> str:
        match node:
            case ast.Constant(value=str(value)):
                return value
            case ast.Attribute(attr=attr):
                return attr if attr not in {"paper", "live", "backtest"} else ""  # an order may be live
            case ast.Name(id=name):
                return name
            case _:
                return ""

    found = [
        f"{place} {named(node)}"
        for place, test in conditions()
        for node in ast.walk(test)
        if named(node) in words
    ]

    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    """A file of tests may go without: the names of its tests say it."""
    silent = [
        source.path
        for source in sources(*FLOORS, "tests")
        if not source.path.rpartition("/")[2].startswith("test_") and not ast.get_docstring(source.tree)
    ]

    assert silent == []


REAL_TIME = ("tests/chaos/", "tests/bench/")
"""Here other processes live and die in real time, and there is nothing to wait for but that."""


def test_no_test_sleeps() -> None:
    def waits(call: ast.Call) -> bool:
        if dotted(call.func) not in {"time.sleep", "asyncio.sleep", "sleep", "anyio.sleep"}:
            return False
        return not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)

    found = [place for place, call in find(ast.Call, "tests") if waits(call)]
    assert [place for place in found if not place.startswith(REAL_TIME)] == []


def test_nothing_runs_what_it_reads() -> None:
    """Neither a file nor a message may become code: no pickles, no eval, no YAML that makes objects."""
    calls = {"eval", "exec", "compile", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "os.system"}
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}

    called = [
        f"{place} {name}" for place, call in find(ast.Call, *FLOORS) if (name := dotted(call.func)) in calls
    ]
    allowed_pickles = [
        place
        for place, keyword in find(ast.keyword, *FLOORS)
        if keyword.arg == "allow_pickle"
        and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
    ]
    imported = [
        f"{place} {alias.name}"
        for place, node in find(ast.Import, *FLOORS)
        for alias in node.names
        if alias.name.partition(".")[0] in modules
    ] + [
        f"{place} {node.module}"
        for place, node in find(ast.ImportFrom, *FLOORS)
        if (node.module or "").partition(".")[0] in modules
    ]

    assert called + allowed_pickles + imported == []
