"""Objects whose tensors are in memory that every process of the machine can map.

``dump`` takes an object apart: the bytes of its tensors and large arrays go into one region, and
everything else into a pickle stream that refers to them.  ``load`` reassembles the object around
the region's own pages, in any process.  The stream is passed between processes through
multiprocessing's pipes; nothing is ever unpickled from a file.

On Linux the region is an anonymous file (``memfd_create``), which other processes open as
``/proc/PID/fd/N``.  It leaves no name behind and does not use the small /dev/shm of a container;
the kernel frees it with the last process that holds it, even if that was killed.  On other systems,
and if a directory is given, it is a temporary file.  The file is locked: if its process is killed,
its workers remove it, or otherwise the next process that puts a region there.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import secrets
import stat
import tempfile
import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import torch

from amc_gym._utils.files import lock, remove_if_dead

LINE = 64
"""Bytes of a cache line.  Data in a region keep their offset within one, as vectorised sums may
round differently at another offset."""

LARGE = 1024
"""Bytes from which on arrays go into the region; smaller ones go into the stream."""

PREFIX, SUFFIX = "amc-gym-", ".shared"
"""Prefix and suffix of temporary files' names."""

Place = tuple[str | None, int, int]
"""File (``None``: the region), offset and size of some bytes."""

State = Callable[[Any], dict[str, Any]]
"""Function: object -> attributes that are dumped."""

_mapped: weakref.WeakValueDictionary[int, np.memmap] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Address:
    """Address of a region, which begins with ``token``, padded to ``LINE`` bytes."""

    path: str
    token: bytes
    owner: int  # id of the process that owns the region

    @property
    def files(self) -> tuple[str, ...]:
        """The file that the owner would leave behind if it was killed, if any."""
        return (self.path,) if self.path.endswith(SUFFIX) else ()


class Region:
    """Bytes that other processes map; freed with this object, by ``close`` or with the process.

    Args:
        parts: (offset, bytes) of each part, from ``LINE`` on.
        directory: folder for a file; ``None``: memory, or else the folder of temporary files.

    Raises:
        OSError: there is no room.
    """

    def __init__(self, parts: Collection[tuple[int, np.ndarray]], directory: str | None) -> None:
        token = secrets.token_bytes(LINE)
        descriptor = _anonymous(token, parts) if directory is None else None
        if descriptor is not None:
            path = f"/proc/{os.getpid()}/fd/{descriptor}"
            self.close = weakref.finalize(self, os.close, descriptor)
        else:
            path, descriptor = _temporary(token, parts, directory)
            self.close = weakref.finalize(self, _remove, path, descriptor, os.getpid())
        self.address = Address(path, token, os.getpid())


def dump(
    value: object,
    *,
    states: Mapping[type, State] | None = None,
    directory: str | None = None,
) -> tuple[bytes, Region]:
    """Take an object apart.

    Tensors that share memory still do so afterwards, and strides are kept.  Tensors of a data set
    that is mapped from a file (see ``mapped_tensor``) are stored as the file's path.

    Args:
        value: anything that cloudpickle can pickle.
        states: type -> attributes of its objects that are dumped, if not all.
        directory: see ``Region``.

    Returns:
        The pickle stream, and the region of its tensors.

    Raises:
        ValueError: a tensor is not in the CPU's memory, or something cannot be pickled.
        OSError: as ``Region``.
    """
    stream = io.BytesIO()
    pickler = _Pickler(stream, states or {})
    try:
        pickler.dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"this cannot be sent to other processes: {error}") from error
    return stream.getvalue(), Region(pickler.placed.values(), directory)


def load(stream: bytes, address: Address) -> Any:
    """Return the object with its tensors in the region's pages; writing to them stays private.

    Raises:
        OSError: the region is gone.
    """
    return _Unpickler(stream, _map(address)).load()


def mapped_tensor(array: np.memmap) -> torch.Tensor:
    """Return an array mapped from a file as a tensor, which ``dump`` stores as the file's path.

    The file must not change, and the tensor must not be written to.
    """
    _mapped[array.ctypes.data] = array
    return torch.from_numpy(array)


class _Pickler(cloudpickle.Pickler):
    """A pickler that collects storages and large arrays."""

    def __init__(self, file: io.BytesIO, states: Mapping[type, State]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._states = states
        self._end = LINE
        # (address, size) -> its place, and the bytes, which are held so that nothing else gets
        # their address in the meantime.
        self.placed: dict[tuple[int, int], tuple[int, np.ndarray]] = {}
        self._arrays: dict[int, tuple[np.ndarray, tuple[Any, ...]]] = {}

    def persistent_id(self, obj: Any) -> tuple[Any, ...] | None:
        if isinstance(obj, torch.storage.TypedStorage):
            return ("storage", obj.dtype, *self._place_storage(obj._untyped_storage))
        if type(obj) in (np.ndarray, np.memmap) and obj.nbytes >= LARGE and not obj.dtype.hasobject:
            if id(obj) not in self._arrays:
                self._arrays[id(obj)] = obj, ("array", *self._place_array(obj))
            return self._arrays[id(obj)][1]
        return None

    def reducer_override(self, obj: Any) -> Any:
        if (state := self._states.get(type(obj))) is not None:
            return object.__new__, (type(obj),), state(obj)
        if isinstance(obj, torch.Tensor) and obj.device.type != "cpu":
            raise ValueError(
                f"tensors on {obj.device} cannot be shared: make the environment with "
                "device='cpu', for a task whose tensors are on the CPU"
            )
        return super().reducer_override(obj)

    def _place_storage(self, storage: torch.UntypedStorage) -> Place:
        file = _mapped.get(storage.data_ptr())
        if file is not None and storage.nbytes() <= file.nbytes:
            return os.path.abspath(os.fspath(file.filename or "")), file.offset, storage.nbytes()
        return self._place(torch.empty(0, dtype=torch.uint8).set_(storage).numpy())

    def _place_array(self, array: np.ndarray) -> tuple[Any, ...]:
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base  # views of one array stay views
        if not root.flags.forc:
            root = array = np.ascontiguousarray(array)
        place = self._place(root.reshape(-1, order="A").view(np.uint8))
        within = array.ctypes.data - root.ctypes.data
        return array.dtype, array.shape, array.strides, within, place

    def _place(self, content: np.ndarray) -> Place:
        key = content.ctypes.data, content.nbytes
        if key not in self.placed:
            offset = -(-self._end // LINE) * LINE + key[0] % LINE
            self.placed[key] = offset, content
            self._end = offset + content.nbytes
        return None, self.placed[key][0], content.nbytes


class _Unpickler(pickle.Unpickler):
    """An unpickler that finds storages and arrays in the region."""

    def __init__(self, stream: bytes, region: mmap.mmap) -> None:
        super().__init__(io.BytesIO(stream))
        self._region = region
        self._storages: dict[Place, torch.UntypedStorage] = {}
        self._arrays: dict[tuple[Any, ...], np.ndarray] = {}

    def persistent_load(self, pid: tuple[Any, ...]) -> Any:
        kind, *where = pid
        if kind == "storage":
            dtype, *place = where
            storage = self._storage(tuple(place))
            return torch.storage.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)
        if pid not in self._arrays:
            self._arrays[pid] = self._array(*where)
        return self._arrays[pid]

    def _storage(self, place: Place) -> torch.UntypedStorage:
        if place not in self._storages:
            self._storages[place] = self._bytes(*place).untyped_storage()
        return self._storages[place]

    def _bytes(self, path: str | None, offset: int, size: int) -> torch.Tensor:
        if size == 0:
            return torch.empty(0, dtype=torch.uint8)
        if path is None:
            return torch.frombuffer(self._region, dtype=torch.uint8, offset=offset, count=size)
        try:
            file = np.memmap(path, dtype=np.uint8, mode="c", offset=offset, shape=(size,))
        except (OSError, ValueError) as error:
            raise OSError(
                f"{path}, from which images are mapped, is gone or was changed ({error}): "
                "share the environment again"
            ) from error
        return mapped_tensor(file)

    def _array(
        self, dtype: np.dtype, shape: Any, strides: Any, within: int, place: Place
    ) -> np.ndarray:
        whole = torch.empty(0, dtype=torch.uint8).set_(self._storage(place)).numpy()
        return np.ndarray(shape, dtype, whole.data, within, strides)


def _map(address: Address) -> mmap.mmap:
    """Return the region, copied on write, so that no process changes what another one sees."""
    try:
        # Checked before it is opened: if the number now belongs to a pipe, reading would wait, or
        # take what others wait for.
        if stat.S_ISREG(os.stat(address.path).st_mode):
            with open(address.path, "rb") as file:
                if file.read(LINE) == address.token:
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        found = "something else is there"
    except OSError as error:
        found = str(error.strerror)
    raise OSError(
        f"what process {address.owner} shared is not available at {address.path} ({found}). It "
        "lasts until that process ends, drops the environment's engine or closes it, and is for "
        "processes of the same user: keep it open, or share the environment again"
    )


def _anonymous(token: bytes, parts: Collection[tuple[int, np.ndarray]]) -> int | None:
    """Return a sealed anonymous file; ``None`` if the system has none, or no room for it."""
    descriptor = None
    try:
        import fcntl  # not available on every system

        descriptor = os.memfd_create("amc-gym", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        _write(descriptor, token, parts)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)  # from now on the kernel refuses changes
        if os.path.exists(f"/proc/{os.getpid()}/fd/{descriptor}"):
            return descriptor
    except (ImportError, AttributeError, OSError):
        pass
    if descriptor is not None:
        os.close(descriptor)
    return None


def _temporary(
    token: bytes, parts: Collection[tuple[int, np.ndarray]], directory: str | None
) -> tuple[str, int]:
    """Return path and open descriptor of a temporary file that only this user can open."""
    directory = tempfile.gettempdir() if directory is None else directory
    for left in Path(directory).glob(f"{PREFIX}*{SUFFIX}"):
        remove_if_dead(left)
    descriptor, path = tempfile.mkstemp(prefix=PREFIX, suffix=SUFFIX, dir=directory)
    try:
        with suppress(OSError):  # a system without locks
            lock(descriptor)
        _write(descriptor, token, parts)
    except OSError as error:
        _remove(path, descriptor, os.getpid())
        raise OSError(
            f"no room for shared tensors in {directory} ({error.strerror}): "
            "name a folder that has some with directory=..."
        ) from error
    return os.path.abspath(path), descriptor


def _write(descriptor: int, token: bytes, parts: Collection[tuple[int, np.ndarray]]) -> None:
    with open(descriptor, "wb", closefd=False) as file:
        file.write(token)
        for offset, part in parts:
            file.seek(offset)
            file.write(part.data)


def _remove(path: str, descriptor: int, owner: int) -> None:
    os.close(descriptor)
    if os.getpid() == owner:  # a fork inherits this call, but not the file
        with suppress(OSError):  # removed by others; or, on Windows, still being read
            os.remove(path)
