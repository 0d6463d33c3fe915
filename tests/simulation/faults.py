"""What goes wrong in a world: each seed draws its own mix, and about a third of the faults are off in each."""

from random import Random

# Chance per occasion, from and to: of one request, one passage of a seam, one bar, one second, as the name says.
RATES: dict[str, tuple[float, float]] = {
    "request lost": (0.01, 0.08),
    "never left": (0.01, 0.06),
    "answer lost": (0.01, 0.12),
    "accepted late": (0.01, 0.08),
    "invisible": (0.05, 0.5),
    "partial fill": (0.1, 0.8),
    "rest expires": (0.02, 0.1),
    "fill while cancelling": (0.02, 0.3),
    "cancel lost": (0.02, 0.15),
    "cancel answer lost": (0.02, 0.15),
    "lookup fails": (0.02, 0.2),
    "slow answer": (0.005, 0.04),
    "refused": (0.01, 0.08),
    "refused when triggered": (0.05, 0.4),
    "trades told late": (0.05, 0.5),
    "told twice": (0.05, 0.5),
    "order vanishes": (0.002, 0.02),
    "somebody else": (0.002, 0.02),
    "crash": (0.0005, 0.003),
    "crash at an order": (0.005, 0.06),
    "crash while starting": (0.005, 0.04),
    "slow disk": (0.02, 0.2),
    "bar late": (0.05, 0.3),
    "bar missed": (0.03, 0.15),
    "bar twice": (0.05, 0.3),
}
# Stretches of time: how many at most, and how long at most.
SPANS: dict[str, tuple[int, float]] = {
    "venue down": (2, 40.0),
    "told to wait": (2, 30.0),
    "disk full": (2, 20.0),
    "clock wrong": (1, 60.0),
}


class Faults:
    """The mix of one world. Once `over`, nothing goes wrong any more."""

    def __init__(self, chance: Random, until: float, only: frozenset[str] | None = None) -> None:
        self._chance = chance
        self.over = False
        self.rates = {
            name: chance.uniform(low, high) if chance.random() > 1 / 3 else 0.0
            for name, (low, high) in RATES.items()
        }
        self._spans: dict[str, list[tuple[float, float]]] = {name: [] for name in SPANS}
        for name, (most, longest) in SPANS.items():
            for _ in range(chance.randint(1, most) if chance.random() < 0.4 else 0):
                start = chance.uniform(0, until)
                self._spans[name].append((start, start + chance.uniform(1, longest)))
        if only is not None:
            self.rates = {name: rate if name in only else 0.0 for name, rate in self.rates.items()}
            self._spans = {name: span if name in only else [] for name, span in self._spans.items()}

    def hit(self, name: str) -> bool:
        """Whether it happens this time."""
        rate = self.rates[name]
        return rate > 0 and not self.over and self._chance.random() < rate

    def during(self, name: str, now: float) -> bool:
        """Whether it is so at this moment."""
        return not self.over and any(start <= now < end for start, end in self._spans[name])
