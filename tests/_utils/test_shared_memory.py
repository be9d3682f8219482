"""Serialization of objects whose arrays lie in memory that processes share."""

import errno
import gc
import os
import pickle
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch
from children import run_forked
from torch import nn

from amc_gym._utils.shared_memory import LINE, dump, load, mapped_tensor

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="anonymous files are Linux's")


def again(value, **keywords):
    """Return what another process would get, the region that holds its arrays, and the stream."""
    stream, region = dump(value, **keywords)
    return load(stream, pickle.loads(pickle.dumps(region.address))), region, stream


@pytest.mark.parametrize("directory", [None, "named"])
def test_tensors_keep_values_strides_and_what_they_share(directory, tmp_path):
    directory = directory and str(tmp_path)
    whole = torch.randn(6, 4, 5, 5)
    values = {
        "whole": whole,
        "view": whole[2:4, :, ::2],
        "again": whole,
        "last": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "expanded": torch.randn(3, 1).expand(3, 7),
        "bf16": torch.randn(9).bfloat16(),
        "int": torch.arange(7),
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.empty(0, 4),
        "parameter": nn.Parameter(torch.randn(3)),
    }
    found, _region, stream = again(values, directory=directory)
    for name, tensor in values.items():
        assert torch.equal(found[name], tensor)
        assert found[name].stride() == tensor.stride()
        assert found[name].dtype == tensor.dtype
    assert found["again"] is found["whole"]
    assert found["view"].untyped_storage()._cdata == found["whole"].untyped_storage()._cdata
    assert found["whole"].untyped_storage().nbytes() == whole.nbytes
    assert isinstance(found["parameter"], nn.Parameter)
    assert found["parameter"].requires_grad
    assert len(stream) < whole.nbytes  # the bytes are elsewhere


def test_tensors_keep_their_place_within_a_cache_line():
    buffer = np.zeros(4 * LINE, np.uint8)
    start = -buffer.ctypes.data % LINE
    tensors = [torch.from_numpy(buffer[start + k : start + k + LINE]) for k in (0, 16, 36)]
    found, _region, _ = again(tensors)
    assert [t.data_ptr() % LINE for t in found] == [0, 16, 36]


def test_arrays_keep_views_and_orders_and_small_ones_stay_in_the_stream():
    whole = np.arange(3000, dtype=np.int32).reshape(50, 60)
    values = {
        "whole": whole,
        "rows": whole[10:],
        "columns": whole[:, ::2],
        "fortran": np.asfortranarray(whole),
        "small": np.arange(5),
        "objects": np.array([None] * 500),
        "fixed": np.frombuffer(whole.tobytes(), np.int32),  # cannot be written to
    }
    found, _region, stream = again(values)
    for name, array in values.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert found["fortran"].flags.f_contiguous
    found["whole"][11, 0] = -1
    assert found["rows"][1, 0] == found["columns"][11, 0] == -1
    assert whole[11, 0] == 660  # written to a copy
    assert len(stream) < 6000
    _, region = dump(values["small"])
    assert os.path.getsize(region.address.path) == LINE


def test_changes_to_one_copy_are_not_seen_in_others():
    stream, region = dump(torch.zeros(5000))
    one, other = load(stream, region.address), load(stream, region.address)
    one.fill_(1)
    assert not other.any()
    assert not load(stream, region.address).any()


@LINUX
def test_the_region_cannot_be_written_to():
    _, region = dump(torch.zeros(100))
    with (
        open(region.address.path, "r+b", buffering=0) as file,
        pytest.raises(PermissionError),
    ):
        file.write(b"x")


def test_some_of_an_object_stays_behind():
    class Thing:
        def __init__(self):
            self.kept, self.dropped = torch.ones(3), torch.ones(10_000)

    found, _region, _ = again(Thing(), states={Thing: lambda thing: {"kept": thing.kept}})
    assert vars(found).keys() == {"kept"}


def test_a_mapped_data_set_is_referred_to_by_its_path(tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, np.arange(30_000, dtype=np.uint8).reshape(100, 300))
    images = mapped_tensor(np.load(path, mmap_mode="c"))
    (found, part), region, stream = again((images, images[5:9]))
    assert os.path.getsize(region.address.path) == LINE
    assert torch.equal(found, images)
    assert torch.equal(part, images[5:9])
    twice, _region, _ = again(found)  # sent on by the process that received it
    assert torch.equal(twice, images)
    path.unlink()
    with pytest.raises(OSError, match=r"images\.npy, from which images are mapped, is gone"):
        load(stream, region.address)


def test_a_region_is_gone_with_its_object_or_when_closed():
    stream, region = dump(torch.ones(4))
    address = region.address
    found = load(stream, address)
    del region
    gc.collect()
    with pytest.raises(OSError, match="share the environment again"):
        load(stream, address)
    stream, region = dump(torch.ones(4))
    region.close()
    region.close()
    with pytest.raises(OSError, match=f"what process {os.getpid()} shared is not available"):
        load(stream, region.address)
    assert found.sum() == 4  # a mapping outlives what was mapped


def test_another_file_in_its_place_is_noticed(tmp_path):
    stream, region = dump(torch.ones(4), directory=str(tmp_path))
    with open(region.address.path, "r+b") as file:
        file.write(b"other")
    with pytest.raises(OSError, match="something else is there"):
        load(stream, region.address)


@LINUX
def test_a_pipe_in_its_place_is_left_alone():
    stream, region = dump(torch.ones(4))
    descriptor = int(region.address.path.rpartition("/")[2])
    region.close()
    reading, writing = os.pipe()
    assert descriptor in (reading, writing)
    os.write(writing, b"for somebody else")
    with pytest.raises(OSError, match="something else is there"):
        load(stream, region.address)
    assert os.read(reading, 100) == b"for somebody else"
    os.close(reading)
    os.close(writing)


def test_files_are_private_and_removed(tmp_path):
    _, region = dump(torch.ones(4), directory=str(tmp_path))
    (path,) = tmp_path.iterdir()
    assert str(path) == region.address.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    del region
    gc.collect()
    assert not list(tmp_path.iterdir())


ENDS = {
    "normally": "",
    "by an exception, a fork having ended before": """
if os.fork() == 0: sys.exit(0)
os.wait()
assert os.path.exists(region.address.path)
raise ValueError
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the scripts fork")
@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left_when_a_process_ends(end, tmp_path):
    code = (
        "import os, sys, torch; from amc_gym._utils.shared_memory import dump;"
        "_, region = dump(torch.ones(4), directory=sys.argv[1]);"
        "assert os.path.exists(region.address.path); print('made', flush=True)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code + ENDS[end], str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "made\n", done.stderr
    assert "AssertionError" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_anonymous_files_there_are_temporary_ones(monkeypatch, tmp_path):
    def refused(*_):
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "memfd_create", refused, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found, region, _ = again(torch.arange(5))
    assert os.path.dirname(region.address.path) == str(tmp_path)
    assert found.tolist() == [0, 1, 2, 3, 4]


NO_ROOM = """
import os, resource, sys, tempfile, torch
from amc_gym._utils.shared_memory import dump
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # of every file that is written
descriptors = len(os.listdir("/proc/self/fd"))
try:
    dump(torch.ones(10_000))
except OSError as error:
    print(error)
print(len(os.listdir("/proc/self/fd")) - descriptors)
"""


@LINUX
def test_where_there_is_no_room_at_all_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run_forked("import tempfile; tempfile.tempdir = None\n" + NO_ROOM)
    assert done.returncode == 0, done.stderr
    message, left_open = done.stdout.splitlines()
    assert message.startswith(f"no room for shared tensors in {tmp_path}")
    assert message.endswith("name a folder that has some with directory=...")
    assert left_open == "0"
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_sent_is_refused():
    with pytest.raises(ValueError, match=r"tensors on meta cannot be shared: make .* device='cpu'"):
        dump(torch.ones(3, device="meta"))
    with pytest.raises(ValueError, match=r"this cannot be sent to other processes: .*generator"):
        dump(i for i in range(3))
