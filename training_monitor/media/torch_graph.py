"""The graph of a torch network, from one call of it that is watched. torch is never imported here."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from training_monitor.media.layers import INPUT, Graph, Layer
from training_monitor.media.marks import Marks
from training_monitor.media.spread import find_spread, without_others

# A layer that is called in a loop is a node for each of so many calls; the last one stands for the rest.
_MOST_CALLS: Final = 16
_MOST_DEPTH: Final = 8


def read_torch(model: Any, sample: Any) -> Graph:
    """Return the layers of a network that have no layers within, or parameters of their own.

    The network is called once as it is in evaluation, without gradients; its modes and the random numbers
    that the training gets are as before. A network that is spread over processes is not called.
    """
    model = _unwrap(model)
    if sample is None:
        return _table(model, "there is no input sample")
    if find_spread(model):
        return _table(model, "it is spread over several processes, which would all have to call it")
    try:
        return _Watch(model).call(sample)
    except Exception as error:  # noqa: BLE001 the user's network, which may raise anything
        return _table(model, f"the network does not take this sample: {error}")


def _unwrap(model: Any) -> Any:
    """Return the network within what compiles it, or calls it together with other processes."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            model = model.module
        else:
            return model


def _parts(model: Any) -> dict[str, Any]:
    """Return the layers by their paths; the network itself, where it has own parameters, by its class."""
    return {
        path or type(model).__name__: part
        for path, part in model.named_modules()
        if next(part.children(), None) is None or next(part.parameters(recurse=False), None) is not None
    }


def _table(model: Any, reason: str) -> Graph:
    counted: set[int] = set()
    return Graph([_layer(path, part, [], counted) for path, part in _parts(model).items()], reason=reason)


def _layer(path: str, part: Any, shapes: list[list[int]], counted: set[int]) -> Layer:
    own = [each for each in part.parameters(recurse=False) if id(each) not in counted]
    counted.update(map(id, own))
    kind = getattr(part, "original_name", None) or type(part).__name__
    return Layer(
        id=path[:500],
        type=str(kind)[:500],
        parameters=sum(_size(each) for each in own),
        trainable=sum(_size(each) for each in own if each.requires_grad),
        output_shapes=shapes,
    )


def _size(parameter: Any) -> int:
    try:
        return int(parameter.numel())
    except (RuntimeError, ValueError):  # a lazy one, before its first call
        return 0


class _Watch:
    """One call of a network, and what it showed."""

    def __init__(self, model: Any) -> None:
        self._torch = sys.modules["torch"]
        self._model = model
        self._parts = _parts(model)
        self._marks = Marks([*model.parameters(), *model.buffers()])
        self._calls: dict[str, int] = {}
        self._shapes: dict[str, list[list[int]]] = {}
        self._types: dict[str, str] = {}
        self._edges: dict[tuple[str, str], None] = {}

    def call(self, sample: Any) -> Graph:
        """Call the network, and return its graph."""
        sample = self._onto_device(sample)
        inputs = list(self._tensors(sample))
        for tensor in inputs:
            self._marks.put(tensor, frozenset((INPUT,)))
        hooks = []
        modes = [(part, part.training) for part in self._model.modules()]
        marking = _marking(self._torch, self._marks)
        try:
            for path, part in self._parts.items():
                hooks.append(part.register_forward_hook(self._hook(path)))
            for part, _ in modes:
                # Not by eval(): where a layer has one of its own, it may change its weights.
                part.training = False
            with self._same_randomness(), self._torch.no_grad(), without_others(self._torch), marking:
                self._call(sample)
        finally:
            for hook in hooks:
                hook.remove()
            for part, mode in modes:
                part.training = mode
            self._marks.clear()
        return self._graph([_shape(tensor) for tensor in inputs])

    def _call(self, sample: Any) -> None:
        if isinstance(sample, Mapping):
            self._model(**sample)
        elif isinstance(sample, list | tuple):
            self._model(*sample)
        else:
            self._model(sample)

    def _onto_device(self, sample: Any) -> Any:
        """Return the sample where the network is; the tensors are others than those that were given."""
        first = next(self._model.parameters(), None)
        numpy = sys.modules.get("numpy")

        def move(value: Any) -> Any:
            if numpy is not None and isinstance(value, numpy.ndarray):
                value = self._torch.from_numpy(value)
            if isinstance(value, self._torch.Tensor):
                value = value.detach()
                return value.to(value.device if first is None else first.device, copy=True)
            if isinstance(value, Mapping):
                return {key: move(each) for key, each in value.items()}
            if isinstance(value, list | tuple):
                return [move(each) for each in value]
            return value

        return move(sample)

    @contextlib.contextmanager
    def _same_randomness(self) -> Iterator[None]:
        cuda = self._torch.cuda
        devices = list(range(cuda.device_count())) if cuda.is_available() and cuda.is_initialized() else []
        with self._torch.random.fork_rng(devices=devices):
            yield

    def _hook(self, path: str) -> Callable[[Any, Any, Any], None]:
        def note(_part: Any, args: Any, output: Any) -> None:
            outputs = list(self._tensors(output))
            made_by = self._marks.of(outputs)
            if any(self._is_within(source, path) for source in made_by):
                return  # what is within it was seen
            calls = self._calls[path] = self._calls.get(path, 0) + 1
            node = path if calls == 1 else f"{path} ({min(calls, _MOST_CALLS)})"
            self._types.setdefault(node, path)
            self._shapes.setdefault(node, [_shape(tensor) for tensor in outputs])
            for source in sorted(self._marks.of(self._tensors(args)) or made_by):
                self._edges[source, node] = None
            for tensor in outputs:
                self._marks.put(tensor, frozenset((node,)))

        return note

    def _is_within(self, node: str, path: str) -> bool:
        root = type(self._model).__name__
        inner = self._types.get(node, "")
        return inner != path and bool(inner) and (path == root or inner.startswith(f"{path}."))

    def _tensors(self, value: Any, depth: int = 0) -> Iterator[Any]:
        if isinstance(value, self._torch.Tensor):
            yield value
        elif depth < _MOST_DEPTH:
            if isinstance(value, Mapping):
                value = list(value.values())
            elif hasattr(value, "__dataclass_fields__"):
                value = list(vars(value).values())
            if isinstance(value, list | tuple):
                for each in value:
                    yield from self._tensors(each, depth + 1)

    def _graph(self, inputs: list[list[int]]) -> Graph:
        counted: set[int] = set()
        nodes = [Layer(INPUT, "Input", 0, 0, inputs)] if INPUT not in self._parts else []
        for node, path in self._types.items():
            nodes.append(_layer(node, self._parts[path], self._shapes[node], counted))
        uncalled = (path for path in self._parts if path not in self._calls)
        nodes += [_layer(path, self._parts[path], [], counted) for path in uncalled]
        known = {node.id for node in nodes}
        return Graph(nodes, [edge for edge in self._edges if known.issuperset(edge)])


def _shape(tensor: Any) -> list[int]:
    return [int(size) for size in tensor.shape]


def _marking(torch: Any, marks: Marks) -> Any:
    """Return a block in which what a function of torch makes carries the marks of what it was given."""

    class Marking(torch.overrides.TorchFunctionMode):  # type: ignore[misc] # torch is not imported here
        def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            result = function(*args, **kwargs)
            if sources := marks.of(_shallow(torch, [args, kwargs])):
                for tensor in _shallow(torch, result):
                    marks.put(tensor, sources | marks.of([tensor]))
            return result

    return Marking()


def _shallow(torch: Any, value: Any, depth: int = 0) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value
    elif depth < 3:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list | tuple):
            for each in value:
                yield from _shallow(torch, each, depth + 1)
