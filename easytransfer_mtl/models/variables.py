"""Builds the variables of a model, which may be a subclass, before training, and names them for files."""

import tensorflow as tf

from easytransfer_mtl.encoders.dropout import use_seeded_dropout
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.multitask_model import MultiTaskModel


def build_variables(model: MultiTaskModel) -> None:
    """Runs one short row through the model, so that every layer creates its variables.

    Keras dropout layers that a subclass added become seeded ones, so that its runs resume exactly too.

    Raises:
        UserError: ``build_logits`` or ``build_predictions`` does not return what the tasks need, or two variables have the
            same name.
    """
    use_seeded_dropout(model, model.encoder.clock)
    ids = tf.zeros((1, 3), tf.int32)
    logits = model.build_logits({"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": ids}, training=False)
    found = {name: value.shape[-1] for name, value in logits.items()}
    expected = {task.logits_name: task.num_labels for task in model.tasks}
    if found != expected:
        raise UserError(f"{type(model).__name__}.build_logits returned {found}; expected logits and labels are {expected}.")
    predictions = model.build_predictions(logits)
    missing = sorted(
        key
        for task in model.tasks
        for key in (f"{task.scope}_predictions", f"{task.scope}_probabilities")
        if key not in predictions
    )
    if missing:
        raise UserError(f"{type(model).__name__}.build_predictions returned no {', '.join(missing)}.")
    own_variables(model)


def own_variables(model: MultiTaskModel) -> dict[str, tf.Variable]:
    """Returns the model's variables outside the encoder by layer and name, for instance ``tnews_dense/kernel``.

    Raises:
        UserError: two variables have the same name, so that a file could not hold both.
    """
    of_step = model.weighting.variables if hasattr(model, "weighting") else ()  # only in checkpoints
    skipped = {id(variable) for variable in (*model.encoder.weights, model.encoder.clock.time, *of_step)}
    named: dict[str, tf.Variable] = {}
    for layer in [layer for layer in model.layers if layer is not model.encoder] + [model]:
        for variable in layer.weights:
            if id(variable) in skipped:
                continue
            skipped.add(id(variable))
            inner = variable.name.split(":")[0].split(f"{layer.name}/", 1)[-1]
            name = f"{layer.name}/{inner}" if layer is not model else inner
            if name in named:
                raise UserError(f"{type(model).__name__} has two variables called {name}; give its layers different names.")
            named[name] = variable
    return named


def parameter_counts(model: MultiTaskModel) -> dict[str, int]:
    """Returns part of the model -> number of parameters, trainable or not; parts without parameters are left out."""
    clock = model.encoder.clock.time
    counted: set[int] = {id(clock)}

    def count(variables: list[tf.Variable]) -> int:
        fresh = {id(variable): variable for variable in variables if id(variable) not in counted}
        counted.update(fresh)
        return sum(variable.shape.num_elements() for variable in fresh.values())

    counts = {"encoder": count(model.encoder.weights)}
    for place, layer in model.shared_features.items():
        counts[f"shared {place}"] = count(layer.weights)
    for feature, task in zip(model.features, model.tasks):
        counts[f"{task.name} feature"] = count(feature.weights)
        counts[f"{task.name} head"] = count(model.heads[task.logits_name].weights)
    counts["other"] = count(list(own_variables(model).values()))
    return {name: number for name, number in counts.items() if number}
