"""From one picture to A, D and M_s, with intervals, and back: simulations with the estimate.

    picture, or several of one film; conditions, ranges
        │  conditions    what is known
        │  planning      how large and fine films have to be
        │  films         the films that are simulated
        │  observation   the picture, and films seen as the instrument saw them
        ▼
    simulated pictures
        │  learning      made in batches, and a network trained on them
        ▼
    what the network answers, for the picture and for simulations it has not seen
        │  quantities    A, D, M_s and 4πA/D in their units, by way of
        │  intervals     split-conformal calibration
        ▼
    estimate with intervals
        │  prediction    texture, hysteresis loop and volume that follow from it
        │  doubts        sentences that say why not to trust it
        ▼
    answer               all of it: a table, a figure, a JSON, a file

`one_picture` walks this way in one call, `estimate`; `python -m spinlib.estimation --help` says how
to make it from a shell.
"""

from spinlib.estimation.answer import Estimate
from spinlib.estimation.conditions import Conditions
from spinlib.estimation.films import FieldOfView
from spinlib.estimation.observation import observed
from spinlib.estimation.one_picture import estimate
from spinlib.estimation.planning import EFFORT, plan
from spinlib.estimation.prediction import loops, magnetisation, texture_again
from spinlib.estimation.quantities import PERIOD
from spinlib.thermal_recipes import Ranges

__all__ = [
    "EFFORT",
    "PERIOD",
    "Conditions",
    "Estimate",
    "FieldOfView",
    "Ranges",
    "estimate",
    "loops",
    "magnetisation",
    "observed",
    "plan",
    "texture_again",
]
