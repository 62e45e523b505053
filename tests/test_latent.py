"""Sweeps that can be interrupted, and walks through the latent space of a small E-VAE."""

import pandas as pd
import pytest
import torch

from spinlib import latent, textures
from spinlib.hamiltonian import Hamiltonian
from spinlib.latent import Stage
from spinlib.networks.evae import EVAE
from spinlib.training import seeded

HAMILTONIAN = Hamiltonian(dmi=0.3, zeeman=0.05)
SETTINGS = {"seed": 4, "batch_size": 8}
STAGES = [Stage(1e-4, 0.0, 2), Stage(1e-3, 0.0, 1), Stage(1e-3, 10.0, 2)]


def spins(count, first=0):
    """Shifted copies of one helix: simple enough to be learnt in a moment."""
    helix = textures.helix((16, 16), (1, 0))
    return torch.cat([torch.roll(helix, first + shift, -1) for shift in range(count)])


def train(stages, folder, **changes):
    settings = SETTINGS | {"folder": folder} | changes
    hamiltonian = settings.pop("hamiltonian", HAMILTONIAN)
    return latent.sweep(stages, spins(16), spins(6, 3), hamiltonian, **settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(STAGES, tmp_path_factory.mktemp("sweep"))


def test_a_sweep_interrupted_between_stages_ends_as_an_unbroken_one(trained, tmp_path):
    train(STAGES[:2], tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    table, networks = train(STAGES, tmp_path)
    pd.testing.assert_frame_equal(table, trained[0])
    for name, tensor in networks[-1].state_dict().items():
        assert torch.equal(tensor, trained[1][-1].state_dict()[name]), name
    # What was done is not done again.
    assert len(files) == 2
    assert all(path.stat().st_mtime_ns == when for path, when in files.items())


def test_rows_belong_to_their_stages_and_gamma_lowers_the_energy(trained, tmp_path):
    table, networks = trained
    assert table[["beta", "gamma", "epochs"]].to_numpy().tolist() == [
        [1e-4, 0.0, 2],
        [1e-3, 0.0, 1],
        [1e-3, 10.0, 2],
    ]
    assert len(networks) == 3
    # It falls without γ, too, but not as far: by 0.016 to 0.07 less for six seeds and threads.
    without, much = (
        train([*STAGES[:2], Stage(1e-3, gamma, 8)], tmp_path / str(gamma))[0]
        for gamma in (0.0, 1e3)
    )
    assert much["validation L_H"].iloc[2] < without["validation L_H"].iloc[2]


def test_rows_are_those_of_the_best_epochs_and_stages_draw_numbers_of_their_own(
    tmp_path, monkeypatch
):
    curve = pd.DataFrame({"validation loss": [3.0, 1.0, 2.0], "validation L_H": [0.3, 0.1, 0.2]})
    seeds = []
    monkeypatch.setattr(latent, "fit", lambda *_, seed, **__: seeds.append(seed) or curve)
    for seed in (4, 5):
        table, _ = train(STAGES, tmp_path, seed=seed)
        assert table["validation L_H"].tolist() == [0.1] * 3
    assert len(set(seeds)) == 6


def test_another_start_seed_recipe_or_state_does_not_find_these_checkpoints(tmp_path):
    stage = [Stage(1e-4, 0.0, 1)]
    _, (network,) = train(stage, tmp_path)
    train(stage, tmp_path, start=network)
    train(stage, tmp_path, seed=5)
    train(stage, tmp_path, identity={"recipe": "another"})
    latent.sweep(stage, spins(16, 1), spins(6, 3), HAMILTONIAN, **SETTINGS, folder=tmp_path)
    latent.sweep(stage, spins(16), spins(6, 4), HAMILTONIAN, **SETTINGS, folder=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 6


def test_training_from_a_start_leaves_it_as_it_was(trained, tmp_path):
    start = trained[1][0]
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    train([Stage(1e-3, 1.0, 1)], tmp_path, start=start)
    assert all(torch.equal(start.state_dict()[name], tensor) for name, tensor in before.items())


def test_open_states_are_not_translated(tmp_path, monkeypatch):
    def refuse(batch, numbers):
        raise AssertionError("a state with open edges was translated")

    monkeypatch.setattr(latent, "translated", refuse)
    square = Hamiltonian(dmi=0.3, boundary="open")
    _, (network,) = train([Stage(1e-4, 0.0, 1)], tmp_path, hamiltonian=square)
    assert network.boundary == "open"
    with pytest.raises(AssertionError, match="was translated"):
        train([Stage(1e-4, 0.0, 1)], tmp_path)


def test_inversion_finds_the_code_of_what_the_model_can_make(trained):
    network = trained[1][0]
    target = latent.generate(network, 2, seed=9)
    start = (latent.reconstruct(network, target) - target).square().sum(1).flatten(1).mean(1)
    codes, distance = latent.invert(network, target, steps=150)
    assert (distance < 0.3 * start).all()
    found = (latent.decode(network, codes) - target).square().sum(1).flatten(1).mean(1)
    # The same sum, once inside and once here.
    torch.testing.assert_close(found, distance, rtol=1e-4, atol=1e-7)


def test_interpolation_goes_straight_from_end_to_end():
    first, last = torch.tensor([0.0, 2.0]), torch.tensor([4.0, 0.0])
    line = latent.interpolate(first, last, 5)
    assert line.tolist() == [[0, 2], [1, 1.5], [2, 1], [3, 0.5], [4, 0]]


def test_generated_states_depend_on_the_seed_and_not_on_how_many_there_are(trained):
    network = trained[1][-1]
    few, many = latent.generate(network, 2, seed=1), latent.generate(network, 5, seed=1)
    # Batches of other sizes may be summed in another order.
    torch.testing.assert_close(few, many[:2], rtol=0, atol=1e-4)
    assert not torch.allclose(few, latent.generate(network, 2, seed=2), atol=1e-2)


def test_the_informative_latent_is_the_one_that_varies():
    with seeded(1):
        network = EVAE(16, latent=4)
    with torch.no_grad():
        network.code.weight.zero_()
        network.code.bias.zero_()
        network.code.weight[2].normal_(generator=torch.Generator().manual_seed(1))
    network.eval()
    assert latent.informative_directions(network, spins(16), 1) == [2]


def test_latents_inform_as_their_gaussians_diverge():
    """Means 0.8 and 0, variances 1 and e^-2: ½ 0.64 = 0.32 against ½ (e^-2 - 1 + 2) = 0.57."""
    with seeded(1):
        network = EVAE(16, latent=3)
    with torch.no_grad():
        network.code.weight.zero_()
        network.code.bias.copy_(torch.tensor([0.8, 0.0, 0.0, 0.0, -2.0, 0.0]))
    assert latent.informative_directions(network, spins(4), 3) == [1, 0, 2]


def test_mixed_precision_trains_and_keeps_spins_exact():
    with seeded(1):
        network = EVAE(16, latent=4)
    noise = torch.zeros(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        out, mean, log_variance = network(spins(4), noise)
    assert out.dtype == mean.dtype == log_variance.dtype == torch.float32
    # Lengths of half-precision vectors would be off by 2^-9.
    assert (out.norm(dim=1) - 1).abs().max().item() < 1e-5
    (out - spins(4)).square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.up.parameters())
