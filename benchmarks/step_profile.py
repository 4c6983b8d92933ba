"""Where the time of a train step goes, operation by operation, in a process of its own.

Run as ``python -m benchmarks.step_profile`` with a ``Case`` as JSON on standard input. Operations run
one after another there (each still on all cores), so that their times add up to the step's.
"""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fresh_process import STEPS, Case, answer_of, prepare, read_case

if TYPE_CHECKING:
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XEvent, XLine, XPlane

STARTED = "ExecutorState::ProcessAsync::Start"
"""The profiler's name of an asynchronous operation's work; what operation it is stands in the event's statistics."""
COMPILED = "PartitionedCall"
REST = "scheduling, waiting, Python"


def step_profile(case: Case) -> dict[str, float]:
    """Returns operation -> milliseconds of one step, largest first; compiled functions under the part they belong to."""
    return answer_of("step_profile", case)


def operation_times(planes: Iterable["XPlane"]) -> Counter[str]:
    """Returns operation -> picoseconds, summed over a profile; an operation's time excludes that of others inside it."""
    times: Counter[str] = Counter()
    for plane in planes:
        if plane.name.startswith("/host:CPU"):
            for line in plane.lines:
                _add_line(times, plane, line)
    return times


def _add_line(times: Counter[str], plane: "XPlane", line: "XLine") -> None:
    """Adds one thread's operations; of nested ones the outer begins first, or ends last."""
    open_until: list[tuple[int, str]] = []
    for event in sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps)):
        operation = _operation(plane, event)
        if operation is None:
            continue
        while open_until and open_until[-1][0] <= event.offset_ps:
            open_until.pop()
        if open_until:
            times[open_until[-1][1]] -= event.duration_ps
        times[operation] += event.duration_ps
        open_until.append((event.offset_ps + event.duration_ps, operation))


def _operation(plane: "XPlane", event: "XEvent") -> str | None:
    """Returns the operation of an event, None for events of another kind."""
    name = plane.event_metadata[event.metadata_id].name
    if name == STARTED:
        stats = {plane.stat_metadata[stat.metadata_id].name: _text(plane, stat) for stat in event.stats}
        name = f"{stats.get('name')}:{stats.get('kernel_type')}"
    elif "::" in name or name.count(":") != 1:
        return None
    node, kernel = name.split(":")
    operation = re.sub("^_Mkl(Native)?", "", kernel)
    if not operation.isidentifier():
        return None
    if COMPILED not in operation:
        return operation
    part = "optimizer" if node.startswith("Adam") else "layers"
    return f"compiled functions, {part}"


def _text(plane: "XPlane", stat: Any) -> str:
    if stat.WhichOneof("value") == "ref_value":
        return plane.stat_metadata[stat.ref_value].name
    return stat.str_value


def main() -> None:
    """Profiles the case on standard input and prints operation -> milliseconds."""
    case = read_case()
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    tf.config.threading.set_inter_op_parallelism_threads(1)
    step, batch = prepare(case)
    step.seconds([batch])
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            seconds = step.seconds([batch] * STEPS)
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    times = {name: time / 1e9 / STEPS for name, time in operation_times(space.planes).items()}
    times[REST] = seconds * 1e3 / STEPS - sum(times.values())
    print(json.dumps(dict(sorted(times.items(), key=lambda item: -item[1]))))


if __name__ == "__main__":
    main()
