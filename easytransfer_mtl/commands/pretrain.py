"""Further pre-training of an encoder on the tasks' own texts."""

from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.pretraining.trainer import run_pretraining


def run(settings: PretrainSettings) -> int:
    """Pre-trains and prints the results; returns the exit status."""
    done = run_pretraining(settings)
    texts = done.prepared.num_texts
    print(f"texts: {texts['train']} trained on, {texts['held_out']} held out")
    print(f"held out, before: {done.progress.before}")
    print(f"held out, after {int(done.model.optimizer.iterations)} steps: {done.progress.after}")
    print(f"encoder: {done.final}  (train with --pretrain_model_name_or_path {done.final})")
    return 0
