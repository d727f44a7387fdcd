"""params.yaml as frozen models: an unknown key, name or value is one line that says what was expected."""

import re
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mtmed import datasets, modalities
from mtmed.errors import UserError, unknown
from mtmed.heads._reserved import RESERVED
from mtmed.registry import expect, find, names
from mtmed.types import Architecture, HeadSpec
from mtmed.validation import one_line


class Spec(BaseModel):
    """A section of params.yaml: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PhantomSpec(Spec):
    """A synthetic hospital: its patients, its scanner and the labels its readers left.

    Attributes:
        contrast: of lesions; at 0.6 they are as easily missed as in practice.
        device: the one scanner that it has; without it, those of the modality's phantom.
        lungs: whether readers draw the lungs.
        diameters: whether readers measure lesions.
    """

    modality: str
    patients: int = Field(ge=5)
    seed: int = 0
    prevalence: float = Field(default=0.5, ge=0, le=1)
    size: int = Field(default=192, ge=64, le=2048)
    bits_stored: int = Field(default=12, ge=8, le=16)
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    window: bool = True
    noise: float = Field(default=0.02, ge=0, le=0.5)
    blur: float = Field(default=0.6, ge=0, le=4)
    contrast: float = Field(default=1, gt=0, le=1.5)
    device: str | None = None
    masks: bool = True
    lungs: bool = False
    boxes: bool = True
    classes: bool = True
    diameters: bool = True
    broken: int = Field(default=0, ge=0)


class ScannerSpec(Spec):
    """A simulated scanner, for a site that is a part of a data set (mtmed/data/scanner.py); defaults change nothing.

    Attributes:
        blur: sigma of a Gaussian, in thousandths of the image's longer side.
        noise: standard deviation of grain, of a brightness of 0..1.
        gamma: exponent of brightness; below 1 the image is brighter.
        contrast: slope of the film's curve at middle grey; above 1 it is S-shaped.
        bits: of the file; fewer than 8 show as steps.
    """

    blur: float = Field(default=0, ge=0, le=20)
    noise: float = Field(default=0, ge=0, le=0.3)
    gamma: float = Field(default=1, ge=0.3, le=3)
    contrast: float = Field(default=1, ge=0.3, le=3)
    bits: int = Field(default=16, ge=2, le=16)


class SiteSpec(Spec):
    """A site: the reader of its data set, where the raw studies lie, and the reader's own options.

    Attributes:
        part: a CSV below parts/ with the columns patient and site, as `mtmed partition` writes it: only the patients of
            this site.
        scanner: through which its images are seen.
    """

    dataset: str
    raw: str
    options: dict[str, Any] = {}
    part: str | None = None
    scanner: ScannerSpec | None = None

    @field_validator("part")
    @classmethod
    def _watched(cls, part: str | None) -> str | None:
        if part is not None and (Path(part).parts[:1] != ("parts",) or ".." in Path(part).parts):
            raise ValueError(f"expected a file below parts/, whose changes dvc.yaml watches; got {part}")
        return part


class SplitSpec(Spec):
    """Patients fall into folds by a keyed hash, so that a patient has the same fold at every site."""

    folds: int = Field(default=5, ge=2)
    fold: int = Field(default=0, ge=0)
    validation: float = Field(default=0.1, ge=0, lt=0.5)
    seed: int = 0

    @model_validator(mode="after")
    def _fold_exists(self) -> "SplitSpec":
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: folds are counted from 0 to {self.folds - 1}")
        return self


class ImageSpec(Spec):
    """Square images of `size` pixels, padded, never stretched."""

    size: int = Field(default=128, ge=32, le=1024, multiple_of=32)


class ModelSpec(Spec):
    """The shared encoder (any timm model with a feature pyramid, or a plain ViT) and the decoders' width."""

    encoder: str = "pvt_v2_b0"
    channels: int = Field(default=64, ge=8)


class TrainingSpec(Spec):
    """Local training: what one site does in one round.

    Attributes:
        epochs: passes over the site's training images.
        steps: batches instead of epochs, the same number at every site however many images it has.
    """

    epochs: int = Field(default=2, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_rounds: float = Field(default=1.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    fisher_images: int = Field(default=64, ge=1, le=64)
    fisher_micro_batch: int = Field(default=8, ge=1)
    augment: bool = True


class FederationSpec(Spec):
    """The round loop: strategy, length, and where the sites run."""

    seed: int = 0
    strategy: str = "bayes"
    rounds: int = Field(default=10, ge=1)
    dispatch: Literal["local", "deployments"] = "local"
    concurrency: int = Field(default=2, ge=1)
    exchange: str = ".mtmed/exchange"
    timeout_s: float = Field(default=3600, gt=0)


class EvaluationSpec(Spec):
    """What is measured on the test patients."""

    references: tuple[Literal["local", "pooled", "threshold"], ...] = ("local", "pooled", "threshold")
    replicates: int = Field(default=200, ge=0)
    overlays: bool = True


class TrackingSpec(Spec):
    """Where MLflow keeps runs and models."""

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "mtmed"
    model: str = "mtmed"


class Config(Spec):
    """Everything that params.yaml says."""

    phantom: dict[str, PhantomSpec] = {}
    sites: dict[str, SiteSpec] = Field(min_length=1)
    image: ImageSpec = ImageSpec()
    split: SplitSpec = SplitSpec()
    heads: dict[str, HeadSpec] = Field(min_length=1)
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    federation: FederationSpec = FederationSpec()
    strategies: dict[str, dict[str, float]] = {}
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
            _expect_name("site", name, ("global",))  # its updates would lie where the global model lies
            _expect_options(name, site)
        for spec in self.heads.values():
            _expect_name("head", spec.name, RESERVED | {"encoder"})
            _expect_head(spec)
        for name, phantom in self.phantom.items():
            _expect_name("phantom", name)
            modalities.expect(phantom.modality)
        for name in {self.federation.strategy, *self.strategies}:
            module = find("mtmed.aggregation", name, "strategy")
            module.Strategy(**_known_options(name, module.Strategy, self.strategies.get(name, {})))
        return self

    @model_validator(mode="after")
    def _pool_only_what_is_here(self) -> "Config":
        if self.federation.dispatch == "deployments" and "pooled" in self.evaluation.references:
            raise ValueError(
                "evaluation.references: 'pooled' is refused with federation.dispatch 'deployments', where no "
                "machine has the data of all sites: leave it out, or use dispatch 'local'"
            )
        return self

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


def _known_options(name: str, strategy: Any, options: dict[str, float]) -> dict[str, float]:
    known = {f.name for f in fields(strategy)}
    for key in options:
        if key not in known:
            raise unknown(f"option of strategy {name!r}", key, known or {"(none)"})
    return options
