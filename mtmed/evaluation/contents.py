"""What the report is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from mtmed.types import HeadSpec, SiteEvaluation


@dataclass(frozen=True)
class Lineage:
    """What it takes to make the model again; `more` is shown as it is, e.g. `{"privacy": "none"}`."""

    run: str
    config: str
    code: str
    seed: int
    rounds: int
    parameters: int
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SiteFacts:
    """What a site tells of its data: counts and a hash.

    Attributes:
        modalities: those of its studies.
        studies: by split.
        labelled: training images by head.
        quarantined: studies that preparation refused.
        data_hash: the version of the prepared data.
    """

    name: str
    modalities: Sequence[str]
    studies: Mapping[str, int]
    labelled: Mapping[str, int]
    quarantined: int
    data_hash: str


@dataclass(frozen=True)
class Overlay:
    """A picture of one test study; only where the site lets pictures go. `rank` is best, median or worst."""

    site: str
    head: str
    rank: str
    caption: str
    png: bytes


@dataclass(frozen=True, eq=False)
class Report:
    """All that the page shows; frames may be empty.

    Attributes:
        primary: the metric that each kind of head is judged by, e.g. `{"segmentation": "dice"}`.
        rounds: columns round, site, name, value; names are `train/<head>` and `validation/<head>/<metric>`.
        contributions: columns round, site, head, labelled, share.
        refused: columns round, site, reason.
        traffic: columns round, site, sent, received, in bytes.
        seconds: columns stage, seconds.
        temperatures: columns model, head, temperature, images (validation images that it was found on), sites.
    """

    title: str
    strategy: str
    lineage: Lineage
    sites: Sequence[SiteFacts]
    heads: Sequence[HeadSpec]
    primary: Mapping[str, str]
    evaluations: Sequence[SiteEvaluation]
    rounds: pd.DataFrame
    contributions: pd.DataFrame
    refused: pd.DataFrame
    traffic: pd.DataFrame
    seconds: pd.DataFrame
    temperatures: pd.DataFrame
    overlays: Sequence[Overlay] = ()


FRAMES = {
    "rounds": ("round", "site", "name", "value"),
    "contributions": ("round", "site", "head", "labelled", "share"),
    "refused": ("round", "site", "reason"),
    "traffic": ("round", "site", "sent", "received"),
    "seconds": ("stage", "seconds"),
    "temperatures": ("model", "head", "temperature", "images", "sites"),
}
