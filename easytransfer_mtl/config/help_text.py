"""Generates a command's ``--help`` from its declared settings."""

import textwrap

from easytransfer_mtl.config.options import Option, options_of

WIDTH = 100


def command_help(command: str, purpose: str, settings: type) -> str:
    """Returns the help text of a command such as ``easytransfer_mtl train``.

    It lists every flag with its help, default, allowed values and JSON key.
    """
    lines = [f"{command}: {purpose}", "", f"usage: {command} --flag=value ...", ""]
    for item in options_of(settings).values():
        lines += _flag(item)
    return "\n".join(lines)


def _flag(item: Option) -> list[str]:
    name = f"  --[no]{item.name}" if item.kind is bool else f"  --{item.name}"
    facts = ["required"] if item.required else [] if item.default is None else [f"default: {item.default}"]
    if item.choices:
        own = ", or file.py:Class" if item.own_code else ""
        facts.append(f"one of: {', '.join(item.choices)}{own}")
    if item.range:
        facts.append(item.range)
    if item.place:
        facts.append(f"JSON: {item.place}")
    text = f"{item.help}. " + "; ".join(facts) if facts else item.help
    return [name, *textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)]
