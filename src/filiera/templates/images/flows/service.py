"""From an X-ray that somebody sends to an opinion about it."""

from dataclasses import dataclass

from sklearn.ensemble import RandomForestClassifier

from filiera import Model, service
from filiera.data.pixels import pixels_of

from .model import SIDE, inputs_of


@dataclass
class Opinion:
    """What the model sees in an image."""

    label: str
    probability: float  #: that the model gives this label, 0 to 1


@service
def diagnose(image: bytes, model: RandomForestClassifier = Model("pneumonia")) -> Opinion:
    """Say whether an X-ray shows pneumonia."""
    (found,) = model.predict_proba(inputs_of(pixels_of(image, mode="L", size=(SIDE, SIDE))[None]))
    return Opinion(label=str(model.classes_[found.argmax()]), probability=float(found.max()))
