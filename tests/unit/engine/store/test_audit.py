from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from engine.store.audit import GENESIS, Walk, leaf, link, walk

PAYLOADS = [b'{"n":%d}' % number for number in range(1, 8)]


def chained(payloads: list[bytes]) -> list[tuple[int, bytes, bytes]]:
    rows, previous = [], GENESIS
    for number, payload in enumerate(payloads, start=1):
        previous = link(previous, number, leaf(payload))
        rows.append((number, payload, previous))
    return rows


def test_the_hashes_are_those_that_other_implementations_would_compute() -> None:
    assert leaf(b"") == bytes.fromhex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
    first = link(GENESIS, 1, leaf(b"{}"))
    assert first == sha256(b"\x01" + bytes(32) + bytes([0] * 7 + [1]) + sha256(b"\x00{}").digest()).digest()
    assert (
        link(first, 2, leaf(b"[]")).hex()
        == "8381eea3c7e521043f9f7f3bbf1af49d62f521adb3967abce27d709bb93557c1"
    )


def test_a_whole_chain_ends_at_its_head() -> None:
    rows = chained(PAYLOADS)

    assert walk(rows) == Walk(7, rows[-1][2])


def test_a_walk_goes_on_where_another_stopped() -> None:
    rows = chained(PAYLOADS)

    assert walk(rows[3:], walk(rows[:3])) == walk(rows)


def test_nothing_is_a_whole_chain() -> None:
    assert walk([]) == Walk(0, GENESIS)


@given(st.integers(0, 6), st.booleans(), st.data())
def test_any_changed_byte_is_found_where_it_is(row: int, in_payload: bool, data: st.DataObject) -> None:
    rows = chained(PAYLOADS)
    number, payload, stored = rows[row]
    target = bytearray(payload if in_payload else stored)
    target[data.draw(st.integers(0, len(target) - 1))] ^= data.draw(st.integers(1, 255))
    rows[row] = (number, bytes(target), stored) if in_payload else (number, payload, bytes(target))

    assert walk(rows).first_break == number


@given(st.permutations(range(7)))
def test_any_other_order_is_found(order: list[int]) -> None:
    rows = chained(PAYLOADS)
    shuffled = [rows[each] for each in order]
    renumbered = [(number, *row[1:]) for number, row in enumerate(shuffled, start=1)]
    same = list(order) == list(range(7))

    assert (walk(shuffled).first_break is None) is same
    assert (walk(renumbered).first_break is None) is same


def test_a_removed_record_is_named() -> None:
    rows = chained(PAYLOADS)
    del rows[3]

    seen = walk(rows)

    assert (seen.first_break, seen.reason) == (4, "record 4 is missing: 5 comes next")


def test_a_record_before_the_first_is_named() -> None:
    seen = walk([(0, b"{}", bytes(32)), *chained(PAYLOADS)])

    assert (seen.first_break, seen.reason) == (0, "record 0 stands before the first")


def test_an_inserted_record_with_a_link_of_its_own_does_not_carry_the_rest() -> None:
    rows = chained(PAYLOADS)
    forged = (4, b"{}", link(rows[2][2], 4, leaf(b"{}")))
    moved = [(number + 1, payload, stored) for number, payload, stored in rows[3:]]

    assert walk([*rows[:3], forged, *moved]).first_break == 5


def test_a_payload_that_became_text_is_a_break() -> None:
    rows = chained(PAYLOADS)
    rows[2] = (3, PAYLOADS[2].decode(), rows[2][2])  # type: ignore[assignment]

    assert walk(rows).first_break == 3


def test_a_walk_that_begins_at_a_damaged_record_ends_there() -> None:
    """The row before is read from the store too: SQLite keeps whatever somebody put into a column."""
    assert walk([], Walk(7, "text")).reason == "the hash of record 7 is not bytes"  # type: ignore[arg-type]
    assert walk([], Walk("seven", GENESIS)) == Walk(0, GENESIS, 0, "the number of a record is str")  # type: ignore[arg-type]


def test_a_record_whose_number_is_none_is_named() -> None:
    rows = chained(PAYLOADS)
    rows[2] = ("three", *rows[2][1:])  # type: ignore[assignment]

    seen = walk(rows)

    assert (seen.sequence, seen.first_break, seen.reason) == (2, 3, "record 3 has no number, but str")
