"""The variants that a comparison within a budget begins with, if the user names none."""

from collections.abc import Iterable, Sequence

from easytransfer_mtl.comparing.variants import Variant, parse_variants
from easytransfer_mtl.config.train_settings import LOSS_WEIGHTINGS
from easytransfer_mtl.tasks import Task
from easytransfer_mtl.weighting import METHODS

PLAIN = "equal"
FIXED = "fixed"
OPTIONS: dict[str, tuple[str, ...]] = {
    "uncertainty": ("uncertainty_form=revised",),
    "gradnorm": ("gradnorm_alpha=0.5",),
    "dwa": ("dwa_temperature=1",),
    "dtp": ("dtp_normalize=true",),
    "mgda": ("mgda_normalization=l2",),
    "cagrad": ("cagrad_c=0.8",),
    "famo": ("famo_gamma=0.01",),
    "fairgrad": ("fairgrad_alpha=5",),
    "stch": ("stch_mu=1",),
    "uw_so": ("uw_so_temperature=5",),
    "cr_mogm": ("cr_mogm_method=pcgrad",),
    "moco": ("moco_decay=0",),
}
"""Method -> values of its main option that are tried beside the default; other methods have none, or none that matters."""
MOST_TASKS_WITH_TWO_WEIGHTS = 6


def all_weightings(step_mode: str) -> list[Variant]:
    """Returns every loss weighting that works in these steps, but ``fixed``, with the values of its main option."""
    names = [name for name in LOSS_WEIGHTINGS if step_mode == "joint" or not METHODS[name].needs_joint_step]
    words = [f"{name} {option}".strip() for name in names if name != FIXED for option in ("", *OPTIONS.get(name, ()))]
    return parse_variants("; ".join(words))


def fixed_weights(tasks: Sequence[Task]) -> list[Variant]:
    """Returns a grid of fixed weights: each task in turn counts for more or for less than the others, which have 1.

    Of two tasks, where half of one is twice the other but for the step's length, they are 2 and 4, of more 2 and 0.5; of
    many tasks 2 alone, which keeps the grid small.
    """
    if len(tasks) < 2:
        return []
    many = len(tasks) > MOST_TASKS_WITH_TWO_WEIGHTS
    weights = ("2",) if many else ("2", "4") if len(tasks) == 2 else ("2", "0.5")
    return [
        Variant(
            f"{FIXED} task_weights={task.scope}={weight}",  # the name of a folder, which a task's own name may not fit
            {"loss_weighting": FIXED, "task_weights": f"{task.name.lower()}={weight}"},
        )
        for task in tasks
        for weight in weights
    ]


def with_baselines(variants: Iterable[Variant], tasks: Sequence[Task]) -> tuple[list[Variant], list[Variant]]:
    """Returns the plain sum first, then the given variants; and those of them that are fixed weights.

    The grid of fixed weights is added if no variant has some.
    """
    plain = parse_variants(PLAIN)[0]
    found = [plain, *(variant for variant in variants if variant.settings != plain.settings)]
    fixed = [variant for variant in found if variant.settings["loss_weighting"] == FIXED]
    if fixed:
        return found, fixed
    fixed = fixed_weights(tasks)
    return [plain, *fixed, *found[1:]], fixed
