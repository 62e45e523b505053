"""What the fault tests run, and kill: python fault_worker.py <work> <folder> [step to die at]"""

import sys
from pathlib import Path

from dataset_worker import die_at

from spinlib import report

PAGE = """\
# %% [markdown]
# # 4. A page

# %% tags=["parameters"]
profile: str = "laptop"  # sizes
device: str = "auto"  # where
seed: int = 1  # of the random numbers
output: str = ""  # folder
pause: float = 0.1  # seconds between figures
picture: str = ""  # a picture file

# %%
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from spinlib.study import Study

study = Study("04", profile=profile, output=output, seed=seed, device=device)
Path(study.output.parent / ".begun").touch()
for number in range(4):
    figure = Figure(figsize=(2, 2))
    noise = np.random.default_rng([seed, number]).random((50, 50))
    figure.add_subplot().imshow(noise)
    study.save(figure, f"noise_{number}", numbers={"noise": noise}, caption=picture)
    time.sleep(pause)

# %%
study.claim("V7", ours=float(seed), uncertainty=0.5, verdict="reproduced")
study.about()
"""


def make_root(folder: Path) -> Path:
    """Make a small repository with one study and a README."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks" / "04_page.py").write_text(PAGE)
    (folder / "notebooks" / "profiles.yaml").write_text("smoke: {}\npaper: {}\n")
    (folder / "README.md").write_text("# A page\n{}\n{}\nThe end.\n".format(*report.SCOREBOARD))
    return folder


def generate(folder: Path) -> None:
    """Make a small data set of true physics."""
    from spinlib.dataset import dataset
    from spinlib.recipes import SkyrmionStates

    recipe = SkyrmionStates(states=60, size=64, sweeps=1000, shard=2)
    dataset(recipe, folder, device="cpu", progress=False)


def train(folder: Path) -> None:
    """Train a small network with a checkpoint, slowly."""
    import torch
    import training_worker

    torch.set_num_threads(1)
    training_worker.train(folder / "training.safetensors", slowly=True)


WORK = {"generate": generate, "train": train, "report": report.write}

if __name__ == "__main__":
    work, folder, *step = sys.argv[1:]
    if step:
        die_at(int(step[0]))
    WORK[work](Path(folder))
