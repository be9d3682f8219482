"""A network's file and its description: they change together, even if the writer is killed."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from children import run_forked

from amc_gym.compression.handover import pair
from amc_gym.compression.handover.pair import description_of, in_the_way, put

OLD, NEW = b"the old network", b"the new network, which is longer"


def described(network: bytes) -> dict:
    digest = hashlib.sha256(network).hexdigest()
    return {"format": 1, "weights": {"file": "net.safetensors", "sha256": digest}}


def found(path: Path) -> bytes | None:
    """Return the network that a reader finds, and check that its description fits it."""
    if not path.exists():
        return None
    document = json.loads(description_of(path).read_text())
    network = path.read_bytes()
    assert pair.current(document, path) == described(network)
    return network


# Writes the pair in one child process for each n, killed at the n-th change of a file.
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.compression.handover.test_pair import NEW, described
from amc_gym.compression.handover.pair import put

def killing(function, after):
    def change(*args):
        global left
        left -= 1
        if left == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return change

for after in (False, True):
    for number in range(1, 20):
        folder = Path(sys.argv[1]) / f"{number}-{after}"
        child = os.fork()
        if child == 0:
            left = number
            for name in ("replace", "fsync", "unlink"):
                setattr(os, name, killing(getattr(os, name), after))
            put(folder / "net.safetensors", NEW, described(NEW), overwrite=sys.argv[2] == "over")
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break
"""


def kills(folder: Path, over: str) -> list[Path]:
    done = run_forked(KILLED, str(folder), over)
    assert done.returncode == 0, done.stderr
    return sorted(folder.iterdir())


def folders(parent: Path, content: dict[str, str | bytes]) -> None:
    for number in range(1, 20):
        for after in (False, True):
            folder = parent / f"{number}-{after}"
            folder.mkdir(parents=True)
            for name, text in content.items():
                (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_killed_at_any_moment_there_is_the_old_pair_or_the_new_one(tmp_path: Path) -> None:
    old = {"net.safetensors": OLD, "net.safetensors.json": json.dumps(described(OLD))}
    folders(tmp_path, old)
    seen = {}
    for folder in kills(tmp_path, "over"):
        path = folder / "net.safetensors"
        seen[folder.name] = found(path)
        assert in_the_way(path) == path
        put(path, NEW, described(NEW), overwrite=True)
        assert found(path) == NEW
        assert json.loads(description_of(path).read_text()) == described(NEW)
        assert sorted(os.listdir(folder)) == sorted(old)
    assert set(seen.values()) == {OLD, NEW}
    assert {name for name, network in seen.items() if network == OLD} > {"1-False", "3-True"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_killed_at_any_moment_of_the_first_writing_there_is_the_pair_or_nothing(
    tmp_path: Path,
) -> None:
    folders(tmp_path, {})
    seen = set()
    for folder in kills(tmp_path, ""):
        path = folder / "net.safetensors"
        seen.add(network := found(path))
        assert in_the_way(path) == (path if network else None)
        put(path, NEW, described(NEW), overwrite=network is not None)
        assert found(path) == NEW
        assert sorted(os.listdir(folder)) == ["net.safetensors", "net.safetensors.json"]
    assert seen == {None, NEW}


def test_files_of_somebody_else_are_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    for file, content in (
        (path, "weights of mine"),
        (description_of(path), "mine"),
        (description_of(path), json.dumps({"weights": {"file": "other.safetensors"}})),
    ):
        file.write_text(content)
        assert in_the_way(path) == file
        with pytest.raises(FileExistsError, match="exists: name another file"):
            put(path, NEW, described(NEW), overwrite=False)
        assert file.read_text() == content
        file.unlink()
    assert os.listdir(tmp_path) == []


FULL = """
import resource, sys
from pathlib import Path
from tests.compression.handover.test_pair import described
from amc_gym.compression.handover.pair import put
large = b"x" * int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))  # of every file that is written
put(Path(sys.argv[1]), large, described(large) | {"layers": "y" * int(sys.argv[3])}, overwrite=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")
@pytest.mark.parametrize("sizes", [(1000, 1), (10, 1000)])
@pytest.mark.parametrize("old", [OLD, None])
def test_without_room_the_old_pair_stays_and_the_file_is_named(
    sizes: tuple[int, int], old: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    if old is not None:
        put(path, old, described(old), overwrite=False)
    before = sorted(os.listdir(tmp_path))
    done = run_forked(FULL, str(path), *map(str, sizes))
    named = path if sizes[0] > 400 else description_of(path)
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: '{named}'"
    assert found(path) == old
    assert sorted(os.listdir(tmp_path)) == before
    if old is not None:
        assert json.loads(description_of(path).read_text()) == described(old)
