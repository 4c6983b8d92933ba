"""Answers requests over HTTP with a trained model, or with an average of several."""

import easytransfer_mtl
from easytransfer_mtl.config.predict_settings import ServeSettings
from easytransfer_mtl.serving.address import bound
from easytransfer_mtl.serving.limits import Limits
from easytransfer_mtl.serving.requirements import check_packages
from easytransfer_mtl.tasks import CONTEST_TASKS, load_tasks


def run(settings: ServeSettings, model_class: type | None = None) -> int:
    """Serves until a signal comes.

    Raises:
        UserError: packages are missing, the address cannot be had, or there is no model.
        Stopped: a signal came.
    """
    check_packages()
    tasks = load_tasks(settings.tasks_file) if settings.tasks_file else CONTEST_TASKS
    with bound(settings.host, settings.port) as listener:
        load = easytransfer_mtl.load  # imports TensorFlow
        from easytransfer_mtl.evaluation.model_class import model_class_of
        from easytransfer_mtl.serving.server import serve

        model = load(
            settings.checkpoints or str(settings.predict_checkpoint_path),
            settings.checkpoint_weights,
            settings.predict_batch_size,
            settings.predict_precision,
            model_class_of(settings, model_class).given,
            settings.trust_own_code,
            tasks,
        )
        limits = Limits(
            settings.max_texts,
            settings.max_characters,
            settings.max_body_bytes,
            settings.max_requests,
            settings.request_seconds,
        )
        serve(model, settings.predict_batch_size, listener, limits)
    return 0
