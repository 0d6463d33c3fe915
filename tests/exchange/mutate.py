"""Payloads with something wrong in them, without end and the same for the same seed."""

import json
import random
from typing import Any

NASTY: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**63,
    -(2**63),
    10**400,
    0.1,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
    "",
    " ",
    "0",
    "-0",
    "-1",
    "NaN",
    "inf",
    "1e308",
    "1e-400",
    "0x10",
    "1_000",
    "1,000",
    "1.000,5",
    "１２",
    "١٢٣",
    "½",
    "\u22125",
    "101%",
    "9" * 400,
    "0." + "9" * 400,
    "1\n",
    "\x00",
    "\ud800",
    "\u202e",
    "x" * 100_000,
    [],
    {},
    [[]],
    {"a": 1},
    ["1"] * 50,
    "BUY",
    "SELL",
    "FILLED",
    "BTCUSDT",
    "ETHUSDT",
    "NEW",
    "TRADING",
    "USDT",
    "<html>",
    "../..",
    "'; DROP TABLE x; --",
]


def mutated(payload: Any, chance: random.Random) -> Any:
    """One to three things changed, taken away, doubled or swapped, anywhere in the payload."""
    changed = json.loads(json.dumps(payload))
    for _ in range(chance.randint(1, 3)):
        place = changed
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = chance.choice(keys)
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner or chance.random() < 0.3:
                _spoil(place, key, keys, chance)
                break
            place = inner
        else:
            changed = chance.choice(NASTY)
    return changed


def _spoil(place: Any, key: Any, keys: list[Any], chance: random.Random) -> None:
    match chance.randrange(4):
        case 0:
            del place[key]
        case 1:
            place[key] = place[chance.choice(keys)]
        case 2 if isinstance(place, list):
            place.append(place[key])
        case _:
            place[key] = chance.choice(NASTY)
