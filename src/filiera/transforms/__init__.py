"""Transforms that are learned from training rows and travel with the model, so that serving applies the very same.

``fit_transforms`` learns them, ``with_transform`` puts them before a model. A name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filiera.transforms.categories import OneHot, Ordinal
    from filiera.transforms.dates import DateParts
    from filiera.transforms.features import Feature, disagreements, feature, require_agreement
    from filiera.transforms.fitted import FittedTransforms, fit_transforms
    from filiera.transforms.missing import Impute
    from filiera.transforms.model import TransformedModel, with_transform
    from filiera.transforms.numbers import Bins, Clip, Scale
    from filiera.transforms.texts import Text

__all__ = [
    "Bins",
    "Clip",
    "DateParts",
    "Feature",
    "FittedTransforms",
    "Impute",
    "OneHot",
    "Ordinal",
    "Scale",
    "Text",
    "TransformedModel",
    "disagreements",
    "feature",
    "fit_transforms",
    "require_agreement",
    "with_transform",
]

_HOMES = {
    "Bins": "numbers",
    "Clip": "numbers",
    "DateParts": "dates",
    "Feature": "features",
    "FittedTransforms": "fitted",
    "Impute": "missing",
    "OneHot": "categories",
    "Ordinal": "categories",
    "Scale": "numbers",
    "Text": "texts",
    "TransformedModel": "model",
    "disagreements": "features",
    "feature": "features",
    "fit_transforms": "fitted",
    "require_agreement": "features",
    "with_transform": "model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'filiera.transforms' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"filiera.transforms.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
