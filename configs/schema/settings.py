"""The whole of what may be set, frozen, with a hash that every record names."""

import hashlib

import msgspec

from configs.schema.data import DataQualitySettings
from configs.schema.decision import AlphaSettings, DecisionSettings, EnsembleSettings, SizingSettings
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.models import ModelSettings
from configs.schema.regime import RegimeSettings
from configs.schema.risk import RiskSettings
from configs.schema.store import StoreSettings


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One section a room. Anything that is not named here cannot be set."""

    desk: DeskSettings = DeskSettings()
    data: DataQualitySettings = DataQualitySettings()
    regime: RegimeSettings = RegimeSettings()
    alpha: AlphaSettings = AlphaSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    decision: DecisionSettings = DecisionSettings()
    sizing: SizingSettings = SizingSettings()
    risk: RiskSettings = RiskSettings()
    execution: ExecutionSettings = ExecutionSettings()
    models: ModelSettings = ModelSettings()
    store: StoreSettings = StoreSettings()

    def instrument(self, name: str) -> Instrument:
        """Return the rules of `name`; KeyError when the desk does not trade it."""
        for instrument in self.desk.instruments:
            if instrument.name == name:
                return instrument
        raise KeyError(name)


def settings_hash(settings: Settings) -> str:
    """Return 16 hex digits that change with any value that can change a decision.

    Where records are kept (`store`) cannot change a decision, and its URL may hold a password: it is left out.
    """
    kept = msgspec.structs.replace(settings, store=StoreSettings())
    return hashlib.sha256(msgspec.json.encode(kept, order="deterministic")).hexdigest()[:16]
