"""One merge of networks that were trained apart from their own initialisations: what matching saves of them.

    python -m benchmarks.one_shot [--encoder mtmedformer_tiny] [--seeds 2]

Three sites of 48 synthetic images each (bright squares, four heads) train for some epochs; their mean, all alike, is
tried on 40 other images. Losses, the lower the better. The images are the tests' own: this shows what works at all, and
no more.
"""

from typing import Annotated

import torch
import typer

from mtmed.matching.align import Said, align
from mtmed.matching.group import permuted
from mtmed.matching.symmetries import symmetries
from mtmed.training.fisher import precision
from mtmed.training.loader import collate
from mtmed.training.local import Span, train
from tests import tiny

SITES = 3
State = dict[str, torch.Tensor]


def main(
    encoder: str = "mtmedformer_tiny",
    seeds: Annotated[int, typer.Option(help="how many, from 0")] = 2,
    epochs: int = 16,
) -> None:
    """Print the table."""
    names = [head.name for head in tiny.HEADS]
    print(f"| seed | what | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for seed in range(seeds):
        sites = [_trained(encoder, 10 * seed + k + 1, epochs) for k in range(SITES)]
        for what, state in _merged(encoder, sites).items():
            print(f"| {seed} | {what} | {' | '.join(f'{x:.2f}' for x in _losses(encoder, state))} |", flush=True)


def _trained(encoder: str, number: int, epochs: int) -> tuple[State, State]:
    """A site's network and its precision."""
    net, studies = tiny.network(encoder, number), tiny.studies(48, 10 * number)
    spec = tiny.training(epochs=epochs, batch_size=8, fisher_images=16)
    train(net, studies, spec, Span(0, 1), tiny.seeds(number))
    return tiny.state(net), precision(net, studies, spec, tiny.seeds(number, "precision"))


def _merged(encoder: str, sites: list[tuple[State, State]]) -> dict[str, State]:
    groups = symmetries(tiny.network(encoder)).groups
    found = {"the first site's own": sites[0][0], "mean": _mean([state for state, _ in sites])}
    powers = {"mean after l2": 0.0, "mean after matching, power 0.5": 0.5, "mean after matching, power 1": 1.0}
    for what, power in powers.items():
        said = [Said(state, {n: p.pow(power) * (p > 0) for n, p in known.items()}) for state, known in sites]
        if not power:
            said = [Said(state, {name: torch.ones(()) for name in state}) for state, _ in sites]
        orders = align(groups, said)
        found[what] = _mean([permuted(state, groups, o) for (state, _), o in zip(sites, orders, strict=True)])
    return found


def _mean(states: list[State]) -> State:
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def _losses(encoder: str, state: State) -> list[float]:
    net = tiny.network(encoder)
    net.load_state_dict(state)
    batch = collate(tiny.studies(40, 999), list(tiny.HEADS))
    names = [head.name for head in tiny.HEADS]
    with torch.no_grad():
        outputs = net.eval()(batch.images, names)
        every = [net.decoder(n).losses(outputs[n], batch.targets[n], batch.labelled[n]) for n in names]
    return [float(losses.mean()) for losses in every]


if __name__ == "__main__":
    torch.set_num_threads(1)
    typer.run(main)
