"""Tests a plugin's process from its start to its end, with the test as its host.

The tests use no TLS; the Go tests of the examples do.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from support import SDK  # before grpc

import grpc
import numpy as np

from bridge_plugin import _messages as pb
from bridge_plugin._process import COOKIE_KEY, COOKIE_VALUE
from bridge_plugin._wire import decode, encode

PLUGIN = Path(__file__).with_name("plugin.py")
PATIENCE = 60  # seconds, for steps that should take none


class Host:
    """Starts the plugin and calls it."""

    def __init__(self, case, mode="", arenas=False, environment=()):
        folder = tempfile.TemporaryDirectory()
        case.addCleanup(folder.cleanup)
        lifeline, self.lifeline = os.pipe()
        self.environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(SDK), "MODE": mode, COOKIE_KEY: COOKIE_VALUE, "PLUGIN_PROTOCOL_VERSIONS": "1",
            "PLUGIN_UNIX_SOCKET_DIR": folder.name, "BRIDGE_LIFELINE_FD": str(lifeline), "BRIDGE_GROUP": folder.name, **dict(environment)}
        inherited = [lifeline]
        self.inbound = self.outbound = None
        if arenas:
            inherited += self._arenas(case)
        self.stderr = tempfile.TemporaryFile()
        case.addCleanup(self.stderr.close)
        self.process = subprocess.Popen([sys.executable, str(PLUGIN)], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.stderr, pass_fds=inherited, start_new_session=True)
        os.close(lifeline)
        case.addCleanup(self.end)
        self.handshake = self.process.stdout.readline().decode()
        if not self.handshake:
            return
        options = [("grpc.max_send_message_length", 64 << 20), ("grpc.max_receive_message_length", 64 << 20)]
        self.channel = grpc.insecure_channel("unix:" + self.handshake.split("|")[3], options)
        case.addCleanup(self.channel.close)

    def _arenas(self, case):
        """Makes both arenas, 1 MiB each, and seals the first as the host does."""
        fds = []
        for name in ("in", "out"):
            fd = os.memfd_create(name, os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
            case.addCleanup(os.close, fd)
            os.ftruncate(fd, 1 << 20)
            fds.append(fd)
        import mmap

        self.inbound, self.outbound = (np.frombuffer(mmap.mmap(fd, 1 << 20), np.uint8) for fd in fds)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        fcntl.fcntl(fds[0], fcntl.F_ADD_SEALS, seals | 0x10 | fcntl.F_SEAL_SEAL)  # 0x10: F_SEAL_FUTURE_WRITE
        fcntl.fcntl(fds[1], fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_SEAL)
        self.environment["BRIDGE_ARENAS"] = ",".join(f"{fd}:{1 << 20}" for fd in fds)
        return fds

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None

    def said(self):
        self.stderr.seek(0)
        return self.stderr.read().decode()

    def load(self, **request):
        call = self.channel.unary_stream("/bridge.v1.Adapter/Load", encode, lambda b: decode(pb.LoadEvent, b))
        return list(call(pb.LoadRequest(**request), timeout=PATIENCE))

    def call(self, method, *first, messages=(), **options):
        stream = self.channel.stream_stream(f"/bridge.v1.Adapter/{method}", encode, lambda b: decode(pb.Reply, b))
        return stream(itertools.chain(first, messages), timeout=PATIENCE, **options)

    def loss(self, target="", prompts=None, lease=None, handle=None, **options):
        request = pb.LossRequest(examples=[pb.Example([pb.Segment(text="a")], target)])
        messages = [pb.Call(loss=request, lease=lease)]
        if prompts is not None:
            request.gradient = True
            request.prompts = pb.Tensor(3, list(prompts.shape), prompts.nbytes, handle)
            if handle is None and prompts.size:
                messages.append(pb.Call(chunk=pb.Chunk(data=prompts.tobytes())))
        return self.call("Loss", *messages, **options)

    def unary(self, method, request=b""):
        return self.channel.unary_unary(method, None, None)(request, timeout=PATIENCE)


def failure(replies):
    *_, last = replies
    return last.failure


class Start(unittest.TestCase):
    def test_by_hand(self):
        done = subprocess.run([sys.executable, str(PLUGIN)], env={"PYTHONPATH": str(SDK), "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 2)
        self.assertIn("started by hand", done.stderr)

    def test_only_the_handshake_is_on_stdout(self):
        host = Host(self, "noise")
        self.assertRegex(host.handshake, r"^1\|1\|unix\|/.*\|grpc\|\n$")
        self.assertEqual(os.path.dirname(host.handshake.split("|")[3]), host.environment["PLUGIN_UNIX_SOCKET_DIR"])
        self.assertIsNotNone(host.load()[-1].spec)
        host.unary("/plugin.GRPCController/Shutdown")
        self.assertEqual(host.process.wait(PATIENCE), 0)
        self.assertEqual(host.process.stdout.read(), b"")
        self.assertIn("before the handshake", host.said())
        self.assertIn("m" * (1 << 20), host.said())

    def test_the_highest_protocol_of_both(self):
        for theirs, want in (("1,2", "1"), ("2,3", "1"), ("", "1")):
            host = Host(self, environment={"PLUGIN_PROTOCOL_VERSIONS": theirs})
            self.assertEqual(host.handshake.split("|")[1], want)
            host.end()

    def test_a_host_that_gives_no_certificate(self):
        host = Host(self, environment={"PLUGIN_CLIENT_CERT": "-----BEGIN CERTIFICATE-----"})
        self.assertEqual((host.handshake, host.process.wait(PATIENCE)), ("", 2))
        self.assertIn("newer version of bridge", host.said())

    def test_debug(self):
        process = subprocess.Popen([sys.executable, str(PLUGIN)], env={"PYTHONPATH": str(SDK), "PATH": os.environ["PATH"], "BRIDGE_DEBUG": "1"}, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        line = next(line for line in process.stdout if "export" in line)
        attach = json.loads(line.split("'")[1])["test"]
        self.assertEqual((attach["Protocol"], attach["ProtocolVersion"], attach["Pid"], attach["Test"]), ("grpc", 1, process.pid, True))
        with grpc.insecure_channel("unix:" + attach["Addr"]["String"]) as channel:
            call = channel.unary_stream("/bridge.v1.Adapter/Load", encode, lambda b: decode(pb.LoadEvent, b))
            for _ in range(2):  # every bridge that is started anew loads
                self.assertIsNotNone(list(call(pb.LoadRequest(), timeout=PATIENCE))[-1].spec)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertFalse(os.path.exists(attach["Addr"]["String"]))

    def test_the_next_debug_run_removes_the_folder_of_a_killed_one(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
            left = []
            for end in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
                process = subprocess.Popen([sys.executable, str(PLUGIN), "--debug"], env={"PYTHONPATH": str(SDK), "PATH": os.environ["PATH"], "TMPDIR": temporary},
                                           stdout=subprocess.PIPE, text=True)
                self.addCleanup(process.stdout.close)
                self.addCleanup(process.kill)
                line = next(line for line in process.stdout if "export" in line)
                socket = json.loads(line.split("'")[1])["test"]["Addr"]["String"]
                self.assertEqual([path for path in left if os.path.exists(os.path.dirname(path))], [])
                self.assertEqual(os.stat(os.path.dirname(socket)).st_mode & 0o777, 0o700)
                process.send_signal(end)
                process.wait(PATIENCE)
                left.append(socket)
            self.assertEqual(os.listdir(os.path.join(temporary, f"bridge-{os.getuid()}")), ["lock"])
            self.assertEqual(os.listdir(temporary), [f"bridge-{os.getuid()}"])


class Calls(unittest.TestCase):
    def setUp(self):
        self.host = Host(self)
        self.host.load()

    def test_load_sends_hello_and_progress(self):
        hello, *progress, spec = Host(self).load(id="x")
        self.assertEqual((hello.hello.name, hello.hello.version, hello.hello.capabilities), ("test", "9", []))
        self.assertEqual([(p.progress.stage, p.progress.done, p.progress.total) for p in progress], [("weights", i, 3) for i in (1, 2, 3)])
        self.assertEqual((spec.spec.kind, spec.spec.capabilities), ("language-model", ["gradient"]))

    def test_load_comes_once(self):
        self.assertIn("a second time", self.host.load()[-1].failure.message)

    def test_exceptions_of_load(self):
        got = Host(self, "load fails").load()[-1].failure
        self.assertEqual((got.kind, got.op, got.message, got.remedy, got.field), (4, "load", "bad tensor", "download it again", "model.safetensors"))

    def test_a_package_that_is_not_installed(self):
        got = Host(self, "lacks a package").load()[-1].failure
        self.assertEqual((got.kind, got.remedy), (2, "add the package to the plugin's requirements.txt, and rebuild the plugin"))
        self.assertIn("'no_such_package'", got.message)
        self.assertIn(sys.executable, got.message)

    def test_loss_over_chunks(self):
        prompts = np.arange(3 * 2**17, dtype=np.float32).reshape(2, -1, 3)
        reply, *chunks = self.host.loss("ab", prompts)
        self.assertEqual((reply.loss.loss, reply.loss.tokens), ([2.0], [1]))
        got = np.frombuffer(b"".join(bytes(c.chunk.data) for c in chunks), np.float32).reshape(reply.loss.gradient.shape)
        np.testing.assert_array_equal(got, prompts * 2 + 1)

    def test_prompts_of_no_rows(self):
        reply, = self.host.loss("ab", np.zeros((2, 0, 3), np.float32))
        self.assertEqual((reply.loss.loss, reply.loss.gradient.shape, reply.loss.gradient.nbytes), ([2.0], [2, 0, 3], 0))

    def test_generate_by_rows(self):
        text = pb.Example([pb.Segment(text="a")])
        rows = [pb.GenerateOptions(max_new_tokens=2, log_probs=True, top_log_probs=1), pb.GenerateOptions(max_new_tokens=9), pb.GenerateOptions(max_new_tokens=1 << 40, seed=1)]
        refused = failure(self.host.call("Generate", pb.Call(generate=pb.GenerateRequest(examples=[text] * 3, rows=rows))))
        self.assertEqual((refused.kind, refused.field), (3, "rows"))
        self.assertIn("(capability row-options)", refused.message)
        host = Host(self, "rows")
        host.load()
        messages = queue.SimpleQueue()
        messages.put(pb.Call(generate=pb.GenerateRequest(examples=[text] * 3, rows=rows, cancelable=True, canceled=[1])))
        replies = host.call("Generate", messages=iter(messages.get, None))
        pieces = [[], [], []]
        for reply in replies:
            if reply.generate is not None:
                break
            self.assertIsNone(reply.failure)
            pieces[reply.piece.example].append(reply.piece)
            if reply.piece.example == 2 and len(pieces[2]) == 1:
                messages.put(pb.Call(cancel=pb.Cancel(examples=[2, 7])))  # while the example runs; 7 is in no request
        answer = reply.generate
        messages.put(None)
        self.assertEqual(answer.texts[:2], ["word word", ""])
        self.assertEqual(answer.tokens[2], len(pieces[2]))
        self.assertEqual(list(answer.finish), [3, 4, 4])
        self.assertEqual(list(answer.input_tokens), [3, 3, 3])
        self.assertEqual([[t.text for t in row.tokens] for row in answer.log_probs], [[" word", " word"], [], []])
        self.assertEqual([p.log_probs for p in pieces[0]], [[t] for t in answer.log_probs[0].tokens])
        self.assertEqual(answer.log_probs[0].tokens[0], pb.TokenLogProb(" word", b" word", -0.5, [pb.TokenLogProb("", None, -0.25)]))

    def test_generate_streams(self):
        request = pb.GenerateRequest(examples=[pb.Example([pb.Segment(text="a")])])
        *pieces, last = self.host.call("Generate", pb.Call(generate=request))
        self.assertEqual(([p.piece.text for p in pieces], last.generate.texts), (["one", " two"], ["one two"]))

    def test_failures(self):
        for target, kind, text in (("fall", 8, "ZeroDivisionError: on purpose, plugin.py line "), ("memory", 5, "too much"),
                                   ("lie", 8, "broke the contract: gradient is float32[1, 1]"), ("forget", 8, "loss returned nothing, want a LossResponse"),
                                   ("misuse", 8, "'no kind' is not a valid Kind, plugin.py line ")):
            got = failure(self.host.loss(target, np.zeros((1, 1, 3), np.float32)))
            self.assertEqual((got.kind, got.op), (kind, "loss"))
            self.assertIn(text, got.message)
        said = self.host.said()
        self.assertRegex(said, r'Traceback.*\n  File ".*plugin.py", line \d+, in loss\n    raise ZeroDivisionError\("on purpose"\)\nZeroDivisionError: on purpose\n')
        self.assertEqual(said.count("ZeroDivisionError: on purpose"), 1)
        broken = failure(self.host.call("Loss", pb.Call(score=pb.ScoreRequest())))
        self.assertEqual((broken.kind, broken.message), (1, "the request breaks the protocol: got score, want loss"))
        self.assertIn('lacks the capability "score", it has ["gradient"]', failure(self.host.call("Score", pb.Call(score=pb.ScoreRequest()))).message)

    def test_a_model_may_fork(self):
        reply, = self.host.loss("fork")
        self.assertEqual(reply.loss.loss, [4.0])
        self.assertNotIn("fork_posix", self.host.said())  # from gRPC; Python 3.12 prints another warning

    def test_a_message_that_is_too_big(self):
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.host.loss("x" * (17 << 20)))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_health(self):
        self.assertEqual(self.host.unary("/grpc.health.v1.Health/Check", b"\x0a\x06plugin"), b"\x08\x01")

    def test_a_call_that_is_given_up_lets_the_next_one_in(self):
        first = self.host.loss("wait")
        threading.Timer(0.2, first.cancel).start()
        with self.assertRaises(grpc.RpcError):
            list(first)
        self.assertEqual(next(iter(self.host.loss("ab"))).loss.loss, [2.0])


class SharedMemory(unittest.TestCase):
    def setUp(self):
        if not hasattr(os, "memfd_create"):
            self.skipTest("memfd is Linux's")
        self.host = Host(self, arenas=True)
        self.assertEqual(self.host.load()[0].hello.capabilities, ["arenas"])
        self.prompts = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
        self.host.inbound[128 : 128 + 48] = self.prompts.reshape(-1).view(np.uint8)

    def ask(self, target, generation, lease=4096):
        handle = pb.Handle(arena=1, slot=1, generation=generation, offset=128)
        return list(self.host.loss(target, self.prompts, pb.Lease(generation, 1, 256, lease), handle))

    def test_both_ways(self):
        for generation, target in enumerate(("copied", "empty"), 1):
            reply, = self.ask(target, generation)
            handle = reply.loss.gradient.handle
            self.assertEqual((handle.arena, handle.slot, handle.generation, handle.offset), (2, 1, generation, 256))
            got = self.host.outbound[256 : 256 + 48].view(np.float32).reshape(2, 2, 3)
            np.testing.assert_array_equal(got, self.prompts * 2 + 1)
            self.host.outbound[:] = 0

    def test_tensors_that_do_not_fit_come_as_chunks(self):
        reply, chunk = self.ask("small lease", 1, lease=16)
        self.assertIsNone(reply.loss.gradient.handle)
        np.testing.assert_array_equal(np.frombuffer(bytes(chunk.chunk.data), np.float32).reshape(2, 2, 3), self.prompts * 2 + 1)
        self.assertEqual(int(self.host.outbound.sum()), 0)

    def test_a_false_handle_is_refused(self):
        handle = pb.Handle(arena=1, slot=1, generation=1, offset=(1 << 20) - 16)
        got = failure(self.host.loss("", self.prompts, pb.Lease(1, 1, 0, 64), handle))
        self.assertEqual(got.kind, 1)
        self.assertIn("breaks the protocol", got.message)

    def test_settle_waits_for_the_model(self):
        first = self.host.loss("wait", lease=pb.Lease(7, 1, 0, 64))
        threading.Timer(0.2, first.cancel).start()
        with self.assertRaises(grpc.RpcError):
            list(first)
        self.host.unary("/bridge.v1.Adapter/Settle", encode(pb.SettleRequest([7, 8])))
        got = failure(self.host.loss("late", lease=pb.Lease(8, 1, 0, 64)))
        self.assertIn("was settled", got.message)


class End(unittest.TestCase):
    def shut(self, target="", mode=""):
        host = Host(self, mode)
        host.load()
        if target:
            running = threading.Thread(target=lambda: self.assertRaises(grpc.RpcError, list, host.loss(target)), daemon=True)
            running.start()
            time.sleep(0.3)
        host.unary("/plugin.GRPCController/Shutdown")
        self.assertEqual(host.process.wait(PATIENCE), 0)
        self.assertIn("closed", host.said())
        self.assertEqual(os.listdir(host.environment["PLUGIN_UNIX_SOCKET_DIR"]), [])

    def test_idle(self):
        self.shut()

    def test_while_a_call_listens(self):
        host = Host(self)
        host.load()
        got = []
        running = threading.Thread(target=lambda: got.append(self.outcome(host.loss("wait"))), daemon=True)
        running.start()
        time.sleep(0.3)
        host.unary("/plugin.GRPCController/Shutdown")
        self.assertEqual(host.process.wait(PATIENCE), 0)
        running.join(PATIENCE)
        self.assertIn(got[0], ("failure 6", "CANCELLED", "UNAVAILABLE"))

    @staticmethod
    def outcome(replies):
        try:
            return f"failure {failure(replies).kind}"
        except grpc.RpcError as err:
            return err.code().name

    def test_while_a_call_does_not_listen(self):
        self.shut("sleep")

    def test_while_close_hangs(self):
        self.shut(mode="close hangs")

    def test_sigint_is_ignored(self):
        host = Host(self)
        host.load()
        host.process.send_signal(signal.SIGINT)
        self.assertEqual(next(iter(host.loss("abc"))).loss.loss, [3.0])

    def test_the_lifeline_kills_the_group(self):
        self.lose_host("child")

    def test_the_lifeline_kills_processes_outside_the_group(self):
        self.lose_host("stray")

    def lose_host(self, mode):
        host = Host(self, mode)
        host.load()
        child = int(host.said().split("child")[1].split()[0])
        os.close(host.lifeline)
        host.lifeline = None
        self.assertEqual(host.process.wait(PATIENCE), -signal.SIGKILL)
        for _ in range(PATIENCE * 20):
            try:
                if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    break  # a zombie: its parent has not waited for it yet
            except FileNotFoundError:
                break
            time.sleep(0.05)
        else:
            self.fail("the plugin's child is still running")


if __name__ == "__main__":
    unittest.main()
