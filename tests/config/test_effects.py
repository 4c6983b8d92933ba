"""Settings that have an effect beside certain values of others only: refused without these, accepted with each of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from easytransfer_mtl.config.by_task import ByTask
from easytransfer_mtl.config.options import (
    Option,
    OtherThan,
    check_effects,
    check_settings,
    has_effect,
    option,
    options_of,
    without_effect,
)
from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError

OPTIONS = options_of(TrainSettings)
CONDITIONAL = [item for item in OPTIONS.values() if item.only_with]
PLAIN = TrainSettings(pretrain_model_name_or_path="e", train_input_fp="t", train_batch_size=8, model_dir="m")


def changed(item: Option) -> Any:
    """Returns an allowed value of an option that is not its default."""
    if item.by_task:
        return "tnews=1"
    if item.choices:
        return next(value for value in item.choices if value != item.default)
    if item.kind is bool:
        return not item.default
    if item.kind is str:
        return "x"
    lowest = item.minimum if item.minimum is not None else 1
    return item.convert(item.maximum if item.default == lowest else lowest, item.name)


def meeting(name: str, values: tuple[str, ...] | OtherThan) -> list[Any]:
    """Returns values of a setting that meet a condition: all that are listed, or those beside the one that is not."""
    if isinstance(values, OtherThan):
        others = (OPTIONS[name].default, OPTIONS[name].maximum, changed(OPTIONS[name]))
        allowed = [value for value in dict.fromkeys(others) if value is not None or OPTIONS[name].nullable]
        return [value for value in allowed if value != values.value]
    return list(values)


def failing(name: str, values: tuple[str, ...] | OtherThan) -> list[Any]:
    """Returns the values of a setting that do not meet a condition."""
    if isinstance(values, OtherThan):
        return [values.value]
    return [value for value in OPTIONS[name].choices if value not in values]


def settings_that_meet(item: Option) -> Iterator[dict[str, Any]]:
    """Yields values of the other settings with which an option has an effect, each value of each condition once."""
    first = {name: meeting(name, values)[0] for name, values in item.only_with.items()}
    for name, values in item.only_with.items():
        yield from ({**first, name: value} for value in meeting(name, values))


conditional = pytest.mark.parametrize("item", CONDITIONAL, ids=lambda item: item.name)


@conditional
def test_conditions_are_of_declared_settings_and_can_be_met_and_failed(item: Option) -> None:
    for name, values in item.only_with.items():
        assert meeting(name, values) and failing(name, values)
        assert all(OPTIONS[name].convert(value, name) == value for value in meeting(name, values) + failing(name, values))


@conditional
def test_an_option_is_accepted_with_every_value_that_gives_it_an_effect(item: Option) -> None:
    for others in settings_that_meet(item):
        settings = replace(PLAIN, **others, **{item.name: changed(item)})
        assert has_effect(item, settings) and item.name not in without_effect(settings), others
        check_effects(settings)


@conditional
def test_an_option_is_refused_with_every_value_that_gives_it_none(item: Option) -> None:
    met = next(settings_that_meet(item))
    for name, values in item.only_with.items():
        for value in failing(name, values):
            settings = replace(PLAIN, **{**met, name: value, item.name: changed(item)})
            names = without_effect(settings)
            assert item.name in names and not has_effect(item, settings), (name, value)
            with pytest.raises(UserError) as error:
                check_effects(settings)
            message = str(error.value)
            assert message.startswith(f"{names[0]} has no effect with ") and message.endswith(", or leave it out.")
            if names[0] == item.name:
                wanted = str(values) if isinstance(values, OtherThan) else " or ".join(values)
                assert f"{name} {value}. Set --{name}" in message and wanted in message
            check_effects(replace(settings, **{item.name: item.default, **{name: OPTIONS[name].default for name in names}}))


@conditional
def test_a_default_and_an_empty_text_are_no_mistake_anywhere(item: Option) -> None:
    for name, values in item.only_with.items():
        settings = replace(PLAIN, **{name: failing(name, values)[0]})
        assert not has_effect(item, settings) and item.name not in without_effect(settings)
        if item.kind is str and not item.choices:
            assert item.name not in without_effect(replace(settings, **{item.name: ""}))


def test_options_without_conditions_always_have_an_effect() -> None:
    for item in OPTIONS.values():
        if not item.only_with:
            assert has_effect(item, PLAIN), item.name
    assert without_effect(PLAIN) == []
    check_effects(PLAIN)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"task_weights": "tnews=1"},
            "task_weights has no effect with loss_weighting equal. Set --loss_weighting=fixed, or leave it out.",
        ),
        (
            {"loss_weighting": "dwa", "gradnorm_alpha": 2.0},
            "gradnorm_alpha has no effect with loss_weighting dwa. Set --loss_weighting=gradnorm, or leave it out.",
        ),
        (
            {"loss_weighting": "uncertainty", "gram_variables": "pooler"},
            "gram_variables has no effect with loss_weighting uncertainty. Set --loss_weighting=gradnorm or mgda or imtl_g "
            "or pcgrad or cagrad or nash or upgrad or aligned_mtl or fairgrad or db_mtl or config or dualproj or gradvac or "
            "cr_mogm or krum or modo or sdmgrad, or leave it out.",
        ),
        (
            {"sharing": "soft", "experts": 7},
            "experts has no effect with sharing soft. Set --sharing=mmoe or ple, or leave it out.",
        ),
        (
            {"private_width": 7},
            "private_width has no effect with sharing hard. Set --sharing=shared_private --private_part=encoder, or leave "
            "it out.",
        ),
        (
            {"sharing": "shared_private", "private_width": 7},
            "private_width has no effect with sharing shared_private, private_part top. Set --private_part=encoder, or "
            "leave it out.",
        ),
        (
            {"sharing": "shared_private", "private_layers": 0, "combine": "gate"},
            "combine has no effect with sharing shared_private, private_part top, private_layers 0. Set --private_layers "
            "other than 0, or leave it out.",
        ),
        (
            {"step_mode": "joint", "task_sampling": "proportional"},
            "task_sampling has no effect with step_mode joint. Set --step_mode=alternating, or leave it out.",
        ),
        (  # the first in the order of the declarations
            {"soft_weight": 9.0, "memory_slots": 99},
            "soft_weight has no effect with sharing hard. Set --sharing=soft, or leave it out.",
        ),
    ],
)
def test_messages_name_what_is_met_and_what_is_missing(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        check_effects(replace(PLAIN, **changes))
    assert str(error.value) == message


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Settings whose method may be a class of the user's own."""

    method: str = option("", "a method", "plain")
    power: float = option("", "a power", 1.0, only_with={"method": ("steep",)})
    parts: str | None = option("", "values", by_task=ByTask(str), only_with={"method": ("steep", "many")})

    def __post_init__(self) -> None:
        check_settings(self)


def test_a_class_of_the_users_own_may_read_any_option() -> None:
    check_effects(Sample(method="package.module:Class", power=2.0, parts="a=b"))
    assert without_effect(Sample(method="many", power=2.0, parts="a=b")) == ["power"]
    assert without_effect(Sample(method="module.Class", power=2.0, parts="a=b")) == ["power", "parts"]
