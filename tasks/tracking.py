"""What MLflow keeps of a federation: the only place where its schema of names is decided.

One parent run per federation, one nested run per site; metrics by round; the global model of every round, the
last one registered under `tracking.model` with the alias `champion`, which passes to the same model with its
temperatures when the evaluation has found them.
"""

import hashlib
import json
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from mtmed.config import Config
from mtmed.errors import UserError
from mtmed.evaluation.glossary import term
from tasks.exchange import Exchange
from tasks.stopwatch import Span, Stopwatch

_REQUIREMENTS = ["mtmed", "torch", "torchvision", "timm", "safetensors"]
_SIGNATURE = ModelSignature(  # of tasks/served_model.py
    inputs=Schema([ColSpec("string", "path")]),
    outputs=Schema([ColSpec("string", "path"), ColSpec("string", "findings")]),
)
_TAG = "mtmed.run"
_SITE = "mtmed.site"
_DIGEST = "mtmed.sha256"
_LAST = "bytes/sent"  # logged last: a round that has it is logged whole


def open_store(config: Config) -> None:
    """Make the store and the experiment, if they are not there: a new store takes seconds.

    Raises:
        UserError: the store does not answer.
    """
    reachable(config.tracking.uri)
    _experiment(mlflow.MlflowClient(), config)


class Tracker:
    """Writes one federation; a resumed federation goes on in the same runs."""

    def __init__(self, config: Config, key: str, sites: list[dict[str, Any]], exchange: Exchange) -> None:
        self.config, self.key, self.exchange = config, key, exchange
        mlflow.set_tracking_uri(config.tracking.uri)
        self.client = mlflow.MlflowClient()
        self.watch = Stopwatch()
        with self.watch("tracking"):
            self._open_runs(config, key, sites)

    @property
    def spans(self) -> list[Span]:
        """When it worked."""
        return self.watch.spans

    def _open_runs(self, config: Config, key: str, sites: Sequence[Mapping[str, Any]]) -> None:
        self.experiment = _experiment(self.client, config)
        tags = {_TAG: key, "mlflow.note.content": _description(config, sites)}
        self.parent = self._open(f"{config.federation.strategy}-{key[:6]}", tags)
        self.children = {s["site"]: self._open_site(s) for s in sites}
        self.client.log_batch(self.parent, params=_params(config))

    def _open_site(self, site: Mapping[str, Any]) -> str:
        tags = {_TAG: f"{self.key}/{site['site']}", _SITE: site["site"], "mlflow.parentRunId": self.parent}
        run = self._open(str(site["site"]), tags)
        profile = json.dumps({"studies": site["studies"], "labelled": site["labelled"]})
        source = json.dumps({"site": site["site"]})  # the name only: where the data lie is the site's own affair
        dataset = Dataset(site["site"], site["digest"], "site", source, profile=profile)
        entry = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
        self.client.log_inputs(run, [entry])
        self.client.log_inputs(self.parent, [entry])
        return run

    def _open(self, name: str, tags: dict[str, str]) -> str:
        """The run with the tag, or a new one."""
        found = self.client.search_runs([self.experiment], f"tags.`{_TAG}` = '{tags[_TAG]}'", max_results=1)
        if found:
            self.client.update_run(found[0].info.run_id, status="RUNNING")
            return _id(found[0])
        return _id(self.client.create_run(self.experiment, run_name=name, tags=tags))

    def catch_up(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Log the finished rounds that a killed federation did not come to."""
        whole = {m.step for m in self.client.get_metric_history(self.parent, _LAST)}
        models = {m.name for m in self.client.search_logged_models([self.experiment]) if m.source_run_id == self.parent}
        for record in records:
            step = record["round"] + 1
            if step not in whole:
                self.log_round(record, with_model=_model_name(step) not in models)

    def log_round(self, record: Mapping[str, Any], with_model: bool = True) -> None:
        """Metrics of one round, per site and as means over sites, and its global model."""
        with self.watch("tracking"):
            self._log_round(record, with_model)

    def _log_round(self, record: Mapping[str, Any], with_model: bool) -> None:
        step = record["round"] + 1
        values: dict[str, list[float]] = {}
        for answer in record["sites"]:
            self._metrics(self.children[answer["site"]], answer["metrics"], step)
            for name, value in answer["metrics"].items():
                values.setdefault(name, []).append(value)
        means = {f"mean/{name}": sum(v) / len(v) for name, v in values.items()}
        means |= {f"worst/{n}": _worst(n, v) for n, v in values.items() if n.startswith("validation/")}
        refused = record["aggregate"]["refused"]
        means["refused"] = len(refused)
        for site, why in refused.items():
            self.client.set_tag(self.children[site], f"refused in round {step}", why)
        self._metrics(self.parent, means, step)
        if with_model:
            self._model(record["aggregate"]["key"], step)  # it takes over the metrics of its step
        self._metrics(self.parent, {_LAST: sum(a["sent"] for a in record["sites"])}, step)

    def _metrics(self, run: str, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(run, metrics=[Metric(k, float(v), now, step) for k, v in values.items()])

    def _model(self, key: str, step: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "global.safetensors"
            path.write_bytes(self.exchange.get(key))
            last = step == self.config.federation.rounds and self.config.strategy.shares  # else nobody trained it
            registered = self.config.tracking.model if last else None
            _log_model(self.experiment, self.parent, path, _model_name(step), step, registered)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        """All runs end; the registered model of a whole federation becomes the champion."""
        if failed is None:
            with self.watch("tracking"):
                self._crown()
                self._end("FINISHED")
            return
        with suppress(mlflow.exceptions.MlflowException):  # why the federation failed is what the user must see
            self._end("FAILED")

    def _end(self, status: str) -> None:
        for run in (*self.children.values(), self.parent):
            self.client.set_terminated(run, status)

    def _crown(self) -> None:
        name = self.config.tracking.model
        versions = self.client.search_model_versions(f"name = '{name}'")
        mine = [int(v.version) for v in versions if v.run_id == self.parent]
        if mine:
            self.client.set_registered_model_alias(name, "champion", str(max(mine)))


def log_evaluation(config: Config, key: str, metrics: Mapping[str, float], figures: Sequence[Path]) -> None:
    """The final test metrics and the files of figures, into the federation's parent run; never a folder, which may hold
    pictures of patients."""
    client, run = _found(config, key)
    now = int(time.time() * 1000)
    client.log_batch(_id(run), metrics=[Metric(f"test/{k}", v, now, 0) for k, v in metrics.items()])
    for path in figures:
        client.log_artifact(_id(run), str(path), "figures")


def log_calibrated(config: Config, key: str, step: int, path: Path) -> None:
    """Register the model with its temperatures; if the champion was this federation's, it is this one now.

    The same file is registered once, however often the evaluation is repeated.
    """
    client, run = _found(config, key)
    digest, name = hashlib.sha256(path.read_bytes()).hexdigest(), config.tracking.model
    mine = [v for v in client.search_model_versions(f"name = '{name}'") if v.run_id == _id(run)]
    version = next((str(v.version) for v in mine if v.tags.get(_DIGEST) == digest), None)
    if version is None:
        version = _log_model(run.info.experiment_id, _id(run), path, "calibrated", step, name)
        client.set_model_version_tag(name, version, _DIGEST, digest)
    champion = client.get_registered_model(name).aliases.get("champion")
    if champion is None or str(champion) in {str(v.version) for v in mine}:
        client.set_registered_model_alias(name, "champion", version)


def _log_model(experiment: str, run: str, path: Path, name: str, step: int, registered: str | None) -> str:
    """The version under which it is registered, if it is."""
    mlflow.set_experiment(experiment_id=experiment)  # where models go that are logged outside of a run
    # a model's input is the path of an image, and an example of one would name a file of somebody's
    warnings.filterwarnings("ignore", ".*An input example was not provided")
    logged = Model.log(  # as mlflow.pyfunc.log_model does it, but that would start the run again, and end it
        None,
        name=name,
        flavor=mlflow.pyfunc,
        run_id=run,
        python_model=str(Path(__file__).with_name("served_model.py")),
        artifacts={"model": str(path)},
        pip_requirements=_REQUIREMENTS,
        signature=_SIGNATURE,
        step=step,
        registered_model_name=registered,
    )
    return str(logged.registered_model_version)


def fetch_model(address: str, uri: str) -> Path:
    """The safetensors file behind `models:/<name>@champion` or `models:/<name>/<version>`.

    Raises:
        UserError: the store has no such model.
    """
    mlflow.set_tracking_uri(uri)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=address))
    except mlflow.exceptions.MlflowException as error:
        raise UserError(f"{uri} has no model {address!r}: {str(error).splitlines()[0]}") from error
    return next(folder.rglob("global.safetensors"))


def reachable(uri: str) -> str:
    """The store's answer, for `mtmed doctor`: the number of its experiments.

    Raises:
        UserError: the store does not answer.
    """
    mlflow.set_tracking_uri(uri)
    try:
        count = len(mlflow.MlflowClient().search_experiments())
    except Exception as error:
        raise UserError(f"the MLflow store {uri} does not answer: {str(error).splitlines()[0]}") from error
    return f"{count} experiments"


def _found(config: Config, key: str) -> tuple[mlflow.MlflowClient, Run]:
    """The store's client, and the parent run of a federation.

    Raises:
        UserError: the store has none.
    """
    mlflow.set_tracking_uri(config.tracking.uri)
    client = mlflow.MlflowClient()
    runs = client.search_runs([_experiment(client, config)], f"tags.`{_TAG}` = '{key}'", max_results=1)
    if not runs:
        raise UserError(f"{config.tracking.uri} knows no federation {key}: run `dvc repro federate` with this store")
    return client, runs[0]


def _experiment(client: mlflow.MlflowClient, config: Config) -> str:
    name = config.tracking.experiment
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _params(config: Config) -> list[Any]:
    flat = {
        "strategy": config.federation.strategy,
        "rounds": config.federation.rounds,
        "seed": config.federation.seed,
        "sites": ", ".join(sorted(config.sites)),
        "heads": ", ".join(config.heads),
        "encoder": config.model.encoder,
        "image_size": config.image.size,
        "pretrained": config.model.pretrained or "no",
        **{f"training.{k}": v for k, v in config.training.model_dump().items()},
        **{f"strategy.{k}": v for k, v in config.strategies.get(config.federation.strategy, {}).items()},
    }
    return [mlflow.entities.Param(k, str(v)) for k, v in flat.items()]


def _description(config: Config, sites: Sequence[Mapping[str, Any]]) -> str:
    """What MLflow's page of the run says first."""
    images = sum(site["studies"]["train"] for site in sites)
    return (
        f"One model, trained by {len(sites)} sites on {images} images in {config.federation.rounds} rounds, "
        f"aggregated by `{config.federation.strategy}`. `train/` and `validation/` are by round; `test/` comes with "
        "the evaluation, and so do the figures among the artifacts. A nested run is a site's."
    )


def _model_name(step: int) -> str:
    return f"round-{step:03d}"


def _worst(name: str, values: Sequence[float]) -> float:
    """The value of the worst site; `name` ends with the metric's."""
    return min(values) if term(name.rpartition("/")[2]).higher_is_better else max(values)


def _id(run: Run) -> str:
    return str(run.info.run_id)
