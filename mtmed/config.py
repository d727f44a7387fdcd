"""params.yaml as one frozen model: an unknown key, name or value is one line that says what was expected."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from mtmed import datasets, modalities
from mtmed.aggregation.strategy import Strategy, strategy
from mtmed.errors import UserError
from mtmed.heads._reserved import RESERVED
from mtmed.registry import expect, names
from mtmed.specs import (
    EvaluationSpec,
    FederationSpec,
    ImageSpec,
    ModelSpec,
    PhantomSpec,
    SiteSpec,
    Spec,
    SplitSpec,
    TrackingSpec,
    TrainingSpec,
)
from mtmed.types import Architecture, HeadSpec
from mtmed.validation import one_line


class Config(Spec):
    """Everything that params.yaml says."""

    phantom: dict[str, PhantomSpec] = Field(default={})
    sites: dict[str, SiteSpec] = Field(min_length=1)
    image: ImageSpec = ImageSpec()
    split: SplitSpec = SplitSpec()
    heads: dict[str, HeadSpec] = Field(min_length=1)
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    federation: FederationSpec = FederationSpec()
    strategies: dict[str, dict[str, float | str]] = Field(default={})
    evaluation: EvaluationSpec = EvaluationSpec()
    tracking: TrackingSpec = TrackingSpec()

    @model_validator(mode="before")
    @classmethod
    def _name_heads(cls, raw: Any) -> Any:
        heads = raw.get("heads") if isinstance(raw, dict) else None
        if not isinstance(heads, dict):
            return raw
        named = {k: {**v, "name": k} if isinstance(v, dict) else v for k, v in heads.items()}
        return {**raw, "heads": named}

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        for name, site in self.sites.items():
            _expect_name("site", name, ("global", "server", "round", "turns"))  # their files lie beside the updates
            _expect_options(name, site)
        for spec in self.heads.values():
            _expect_name("head", spec.name, RESERVED | {"encoder"})
            _expect_head(spec)
        for name, phantom in self.phantom.items():
            _expect_name("phantom", name)
            modalities.expect(phantom.modality)
        for name in {self.federation.strategy, *self.strategies}:
            strategy(name, self.strategies.get(name, {}))
        return self

    @model_validator(mode="after")
    def _pool_only_what_is_here(self) -> "Config":
        if self.federation.dispatch == "deployments" and "pooled" in self.evaluation.references:
            raise ValueError(
                "evaluation.references: 'pooled' is refused with federation.dispatch 'deployments', where no "
                "machine has the data of all sites: leave it out, or use dispatch 'local'"
            )
        return self

    @model_validator(mode="after")
    def _freeze_only_what_has_learnt(self) -> "Config":
        if self.training.freeze_encoder and (
            self.model.pretrained in (None, "missing") or self.model.pretrained_missing == "scratch"
        ):
            raise ValueError(
                "training.freeze_encoder: expected model.pretrained, and model.pretrained_missing 'error': an encoder "
                "that starts from scratch and is frozen learns nothing"
            )
        return self

    @property
    def strategy(self) -> Strategy:
        """How the sites' updates are aggregated."""
        return strategy(self.federation.strategy, self.strategies.get(self.federation.strategy, {}))

    @property
    def architecture(self) -> Architecture:
        """The network that this configuration trains."""
        return Architecture(self.model.encoder, self.model.channels, self.image.size, tuple(self.heads.values()))


def load(path: Path | str = "params.yaml") -> Config:
    """Read and check a configuration.

    Raises:
        UserError: missing file, bad YAML, unknown key (with the nearest name) or impossible value.
    """
    return parse(sections(path), str(path))


def sections(path: Path | str) -> dict[str, Any]:
    """What a configuration file says, unchecked, by section.

    Raises:
        UserError: missing file, bad YAML, or no sections.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no configuration at {path}: run from the project's folder, or name the file")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not in UTF-8 (byte {error.start}): save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return _expect_sections(raw, str(path))


def parse(raw: Any, origin: str = "the configuration") -> Config:
    """Check a configuration that is already in memory; `origin` names it in errors."""
    try:
        return Config.model_validate(_expect_sections(raw, origin))
    except ValidationError as error:
        raise UserError(f"{origin}: {one_line(error, Config)}") from error


def change(raw: dict[str, Any], key: str, value: str | float) -> None:
    """Put a value into a configuration in memory by its dotted key, `training.epochs`; text is read as YAML.

    A key that no configuration has is left to `parse` to find.

    Raises:
        UserError: the key goes on below a value.
    """
    *above, last = key.split(".")
    for part in above:
        raw = raw.setdefault(part, {})
        if not isinstance(raw, dict):
            raise UserError(f"{key}: expected the key of one value, but {part} is a value itself, {raw!r}")
    raw[last] = yaml.safe_load(value) if isinstance(value, str) else value


def _expect_sections(raw: Any, origin: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise UserError(f"{origin} holds no sections: expected sites, heads, model, training, ...")
    return raw


def _expect_name(noun: str, name: str, taken: Collection[str] = ()) -> None:
    """Names become parts of paths, of parameters' names and of keys."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"{noun} name {name!r}: expected letters, digits, _ and -, a letter or digit first")
    if name in taken:
        raise UserError(f"{noun} name {name!r} is used by mtmed itself: choose another")


def _expect_options(name: str, site: SiteSpec) -> None:
    options = datasets.options(site.dataset)
    try:
        options.model_validate(site.options)
    except ValidationError as error:
        raise UserError(one_line(error, options, ("sites", name, "options"))) from error


def _expect_head(spec: HeadSpec) -> None:
    expect("mtmed.heads", spec.kind, "head kind")  # not imported: a stage that trains nothing starts sooner
    for modality in spec.modalities:
        modalities.expect(modality)
    where = f"heads.{spec.name}"
    if not spec.classes or len(set(spec.classes)) < len(spec.classes):
        raise UserError(f"{where}.classes: expected one or several different names, got {list(spec.classes)}")
    if not spec.modalities:
        raise UserError(f"{where}.modalities: expected at least one of {', '.join(names('mtmed.modalities'))}")
    if not 0 < spec.weight < float("inf"):
        raise UserError(f"{where}.weight: expected a finite number above 0, got {spec.weight}")
