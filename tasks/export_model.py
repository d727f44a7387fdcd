"""A trained model on disk or in the store -> an ONNX file that says the same."""

from pathlib import Path

from mtmed.errors import UserError
from mtmed.onnx.export import export
from mtmed.onnx.parity import TOLERANCE, check_parity
from mtmed.onnx.runtime import SUFFIX, load
from tasks.open_model import open_model


def export_model(model: str, out: Path, fixed_size: bool, store: str | None) -> str:
    """Write `out`; a sentence that says how near to the original it is.

    What lies there is replaced at the end, when the new file has been checked.

    Raises:
        UserError: the model cannot be used or exported, or the export says something else than the original.
    """
    if out.suffix != SUFFIX:
        raise UserError(f"{out}: expected a name that ends in {SUFFIX}")
    if not out.parent.is_dir():
        raise UserError(f"{out}: expected a folder that is there, got {out.parent}")
    net, known = open_model(model, store)
    part = out.with_name(f".{out.name}.part")
    try:
        export(net, known, part, fixed_size)
        found = check_parity(net.cpu(), load(part)[0])  # a GPU rounds more than is allowed here
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return f"{out}: at most {found:.1e} from PyTorch ({TOLERANCE:.0e} is allowed)"
