"""A network and where it comes from -> an ONNX file that needs nothing else to predict."""

import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from mtmed import checkpoint, container
from mtmed.errors import UserError
from mtmed.models.multitask import MultiTask
from mtmed.onnx import needed
from mtmed.onnx.graph import IMAGES, LARGEST, OWN, STANDARD, STEP, Graph, names
from mtmed.types import GlobalModel

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
BATCH = 2  # of the example by which the graph is traced; one image would be taken for a constant


def export(net: MultiTask, model: GlobalModel, path: Path, fixed_size: bool = False) -> None:
    """Write the network to `path`, for any number of square images of any size that is a multiple of 32.

    Args:
        model: what the file's header says of the origin; its weights are not read.
        fixed_size: the architecture's image size only.

    Raises:
        UserError: the extra `onnx` is not installed, or the encoder cannot be exported so.
    """
    for package in PACKAGES:
        needed(package)
    _expect_any_size(net, fixed_size)
    net = deepcopy(net).cpu().eval().requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own parts, to its own authors
        program = _traced(net, fixed_size)
    _describe(program.model, checkpoint.describe(model, net.architecture))
    program.save(path)


def _expect_any_size(net: MultiTask, fixed_size: bool) -> None:
    name, size = net.architecture.encoder, net.architecture.image_size
    if not fixed_size and not net.accepts(size + STEP):
        raise UserError(
            f"encoder {name!r} sees images of {size} x {size} pixels only: give --fixed-size for a file that takes "
            "any number of images of that size"
        )


def _traced(net: MultiTask, fixed_size: bool) -> Any:
    size = net.architecture.image_size
    example = (torch.rand(BATCH, 1, size, size), torch.tensor(OWN))
    side = None if fixed_size else STEP * Dim("side", min=1, max=LARGEST // STEP)
    shapes = {IMAGES: {0: Dim("batch", min=1), 2: side, 3: side}, STANDARD: None}
    try:
        exported = torch.export.export(Graph(net), example, dynamic_shapes=shapes, strict=False)
        return torch.onnx.export(
            exported, (), dynamo=True, input_names=[IMAGES, STANDARD], output_names=names(net), verbose=False
        )
    except Exception as error:  # what the exporter refuses, and how, is not enumerable
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        advice = "" if fixed_size else "; --fixed-size asks for less"
        raise UserError(f"encoder {net.architecture.encoder!r} cannot be exported: {reason}{advice}") from error


def _describe(file: Any, header: str) -> None:
    """The header, readable names of free sizes, and a default of `standard`, so that images alone are enough."""
    import onnx_ir as ir

    graph = file.graph
    images, standard = graph.inputs
    known = {str(images.shape[0]): "batch", str(images.shape[2]): "size"}
    for value in (images, *graph.outputs):
        value.shape = ir.Shape([d if isinstance(d, int) else known.get(str(d), "places") for d in value.shape])
    standard.const_value = ir.tensor(torch.tensor(OWN).numpy(), name=STANDARD)
    graph.register_initializer(standard)
    file.metadata_props[container.KEY] = header
