"""Runs TensorBoard's own reader and writer, to compare with train/metrics/events.go.

    events.py            writes train/metrics/testdata/reference.tfevents
    events.py read DIR   prints what TensorBoard shows for the event files in DIR

Only this script needs tensorboard.txt.
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def write(path: pathlib.Path) -> None:
    """Writes the same events as TestEventsEqualTensorBoard."""
    scalars = [Summary.Value(tag="loss", simple_value=2.5), Summary.Value(tag="é/rate", simple_value=1e-4)]
    events = [
        Event(wall_time=1.5, file_version="brain.Event:2"),
        Event(wall_time=1700000000.25, step=300, summary=Summary(value=scalars)),
        Event(wall_time=1700000001.0, step=301, session_log=SessionLog(status=SessionLog.START)),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString(deterministic=True))
        writer.flush()


def read(folder: str) -> None:
    """Prints every scalar as TensorBoard shows it: [step, value]."""
    events = EventAccumulator(folder, size_guidance={"scalars": 0}).Reload()
    shown = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in sorted(events.Tags()["scalars"])}
    json.dump(shown, sys.stdout)
    print()


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "read":
        read(sys.argv[2])
    elif len(sys.argv) == 1:
        write(pathlib.Path(__file__).parents[2] / "train" / "metrics" / "testdata" / "reference.tfevents")
    else:
        sys.exit(__doc__)
