"""The table of faults speaks of tests that exist, and of every fault once."""

import ast
import re

from engine.core.domain.order import NEXT, OrderStatus
from tests.architecture.source import ROOT, find

PAGE = ROOT / "knowledge" / "handbook" / "reliability.md"
ROWS = {"A": 19, "B": 10, "C": 5, "D": 6, "E": 12, "F": 10, "G": 9, "H": 7, "I": 5, "J": 5, "K": 10}
CITED = re.compile(r"`(test_\w+)`")


def rows() -> dict[str, list[str]]:
    """The cells of each fault, by its number."""
    found = re.findall(r"^\| ([A-K][0-9]+c?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert len({number for number, _ in found}) == len(found), "a fault stands twice"
    return {number: [cell.strip() for cell in cells.split(" | ")] for number, cells in found}


def test_every_test_that_the_page_names_exists() -> None:
    there = {node.name for _, node in find(ast.FunctionDef, "tests")}
    there |= {node.name for _, node in find(ast.AsyncFunctionDef, "tests")}

    assert sorted(set(CITED.findall(PAGE.read_text())) - there) == []


def test_the_page_has_every_fault_once() -> None:
    wanted = [
        f"{letter}{number}{'c' if letter == 'I' else ''}"
        for letter, last in ROWS.items()
        for number in range(1, last + 1)
    ]

    assert list(rows()) == wanted
    assert len(wanted) == 98


def test_every_fault_has_a_test_or_says_what_is_not_built() -> None:
    assert [
        number
        for number, cells in rows().items()
        if not CITED.findall(cells[-1]) and "not built yet" not in " ".join(cells)
    ] == []


def test_the_table_of_states_is_that_of_the_code() -> None:
    told = {
        OrderStatus(state): {
            OrderStatus(word) for word in re.findall(r"\w+", may) if word in set(OrderStatus)
        }
        for state, may in re.findall(
            r"^\| (\w+) \| [^|]* \| ([^|:]*)(?::[^|]*)? \|$", PAGE.read_text(), re.MULTILINE
        )
        if state in set(OrderStatus)
    }
    begins = {OrderStatus.INTENT, OrderStatus.UNKNOWN}

    assert told.keys() == set(OrderStatus)
    assert {state: may for state, may in told.items() if state not in begins} == {
        state: set(may) for state, may in NEXT.items() if state not in begins
    }
    for state in begins:
        assert NEXT[state] == set(OrderStatus) - {OrderStatus.INTENT}
