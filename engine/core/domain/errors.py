"""The errors of the house.

* WhydeskError
  - BadInput            what came in cannot be used; one clear line, exit code 2
      - BadData         a bar or a file of bars
      - BadSettings     a profile or an environment variable
      - BadQuestion     a command or a question that cannot be read
  - Refused             the desk will not, and says why; exit code 1
      - HeldElsewhere   another process holds this home
      - StoreFailed     the record could not be made durable, so nothing was sent
          - Fenced      another copy has taken over: this process writes and sends nothing more
  - VenueDown           the venue cannot be asked now; asking again later is safe
  - Impossible          a state that must not be: the desk stops and recovers

Limits, late models and rejections are not errors: they are values in the records.
"""


class WhydeskError(Exception):
    """The root: everything the house raises on purpose."""


class BadInput(WhydeskError):
    """What came in cannot be used."""


class BadData(BadInput):
    """A bar, or a file of bars, that breaks a rule."""


class BadSettings(BadInput):
    """A setting that is unknown, of the wrong type or out of range."""


class BadQuestion(BadInput):
    """A command or question that cannot be read."""


class Refused(WhydeskError):
    """The desk will not do it; the message says why."""


class HeldElsewhere(Refused):
    """Another process holds this home."""


class StoreFailed(Refused):
    """A record could not be made durable; nothing that depends on it was sent."""


class Fenced(StoreFailed):
    """Another copy of the desk has taken the lease over; this process must end."""


class VenueDown(WhydeskError):
    """The venue did not answer, or not in a form that can be read. Nothing follows from that but to ask again."""


class Impossible(WhydeskError):
    """A state that must not be."""
