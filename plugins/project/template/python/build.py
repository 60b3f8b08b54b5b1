"""Makes the project's .venv, with the packages in requirements.txt and the SDK in sdk/python.

    python3 build.py

It needs only Python. It does only the steps that are left, so you can run it again after
an interruption.
"""

import os
import pathlib
import shlex
import subprocess
import sys

PROJECT = pathlib.Path(__file__).resolve().parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
MADE_FROM = VENV / "made-from"  # written last: without it the .venv is incomplete


def main() -> None:
    if sys.version_info < (3, 9):
        sys.exit(f"build.py: this is Python {sys.version.split()[0]}, want 3.9 or newer")
    base = f"{sys.version} in {sys.base_prefix}\n"
    wanted = base + (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    made_from = MADE_FROM.read_text(encoding="utf-8") if MADE_FROM.exists() else ""
    if made_from == wanted and runs():
        return
    if not made_from.startswith(base) or not runs():
        make_venv()
    MADE_FROM.unlink(missing_ok=True)
    install()
    link_sdk()
    MADE_FROM.write_text(wanted, encoding="utf-8")


def runs() -> bool:
    """Reports whether the .venv's Python runs: it links to another Python that may be gone."""
    try:
        return subprocess.run([str(PYTHON), "-c", ""], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def make_venv() -> None:
    try:
        import ensurepip  # noqa: F401  (Debian has it in a separate package)
        import venv  # noqa: F401
    except ImportError as missing:
        sys.exit(f"build.py: this Python lacks {missing.name}, which is needed to make .venv; on Debian and Ubuntu: apt install python3-venv")
    run([sys.executable, "-m", "venv", "--clear", str(VENV)], "cannot make .venv")


def install() -> None:
    run([str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--retries", "2", "--requirement", "requirements.txt"],
        "pip could not install the packages in requirements.txt. If there is no network, download the wheels on another machine\n"
        "(python3 -m pip download --requirement requirements.txt --dest wheels), and set PIP_NO_INDEX=1 and PIP_FIND_LINKS=wheels")


def link_sdk() -> None:
    """Lets the .venv import sdk/python, by a relative path, so that the project can be moved."""
    packages = next((VENV / "lib").glob("python3*/site-packages"))
    text = os.path.relpath(PROJECT / "sdk" / "python", packages) + "\n"
    (packages / "bridge_sdk.pth").write_text(text, encoding="utf-8")


def run(command: "list[str]", failure: str) -> None:
    shown = [os.path.relpath(word, PROJECT) if word.startswith(str(VENV)) else word for word in command]
    print("$", shlex.join(shown), file=sys.stderr, flush=True)
    if subprocess.run(command, cwd=PROJECT).returncode != 0:
        sys.exit(f"build.py: {failure}")


if __name__ == "__main__":
    main()
