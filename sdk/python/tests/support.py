"""What the tests share."""

from __future__ import annotations

import os
import pathlib
import unittest

# Tests start processes while gRPC runs in this one. Python 3.9 forks for that, and gRPC's
# own handlers of forks may wait for ever: set before it is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

SDK = pathlib.Path(__file__).resolve().parents[1]
ROOT = SDK.parents[1]


def lacking(what: str, reason: object) -> None:
    """Ends a test for want of something: skipped, or failed where everything is required."""
    if os.environ.get("BRIDGE_TEST_REQUIRE"):
        raise AssertionError(f"this machine lacks {what}, and BRIDGE_TEST_REQUIRE is set: {reason}")
    raise unittest.SkipTest(f"this machine lacks {what}: {reason}")
