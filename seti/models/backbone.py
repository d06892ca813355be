"""Any timm network as a backbone with a single logit."""

import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from seti.errors import SetiError, SettingsError
from seti.models.gem import use_gem
from seti.models.image_sizes import one_line, size_error, takes
from seti.models.pretrained import check_download, refusal
from seti.models.timm_network import builder, find_network, network_options, set_stem_stride
from seti.utils import near_paths
from seti.utils.safe_load import explain_refusal


class Backbone(nn.Module):
    """timm network whose head gives a single logit.

    Args:
        name: a timm model name, with or without a pretraining tag (`efficientnet_b1.ft_in1k`).
        in_channels: number of image channels; timm adapts the pretrained weights of the first convolution.
        image_size: `(height, width)`, for networks with position embeddings; others ignore it.
        pretrained: download timm's pretrained weights.
        weights: local weight file (`.safetensors`, `.pth`, `.bin`) to load instead; stem and head are adapted.
        freeze: train only the head; all other layers keep their weights and batch statistics.
        pool: `gem` for generalised-mean pooling instead of the global average; None keeps timm's.
        drop_rate: dropout probability before the head; None keeps timm's default.
        drop_path: probability of skipping the last residual block (stochastic depth, Huang et al. 2016,
            arXiv:1603.09382), lower for earlier blocks; None keeps timm's default.
        stem_stride: stride of the first convolution, or `[along time, along frequency]`; None keeps timm's. Half the
            stride resolves thin lines better, at 4 times the time and memory.

    Raises:
        SetiError: the name is unknown, the network cannot be built for that size, the weights cannot be downloaded or
            do not fit, the network lacks the part that a setting changes, or no parameter could be trained.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        image_size: tuple[int, int],
        pretrained: bool = False,
        weights: str | None = None,
        freeze: bool = False,
        pool: str | None = None,
        drop_rate: float | None = None,
        drop_path: float | None = None,
        stem_stride: int | list[int] | None = None,
    ) -> None:
        super().__init__()
        name = find_network(name)
        self.name, self.image_shape, self.stem_stride = name, (in_channels, *image_size), stem_stride
        rates = {"drop_rate": drop_rate, "drop_path_rate": drop_path}
        rates = {key: rate for key, rate in rates.items() if rate is not None}
        self.network = _create(name, in_channels, image_size, pretrained, weights, rates)
        _check_drops(self.network, name, rates)
        if stem_stride is not None:
            set_stem_stride(self.network, name, stem_stride)
        if pool == "gem":
            use_gem(self.network, name)
        # Recorded by name, because fixed position embeddings are parameters that are never trained.
        self.trained = {key for key, parameter in self.network.named_parameters() if parameter.requires_grad}
        self.frozen = False
        if freeze:
            self.freeze(True)

    def check_image_size(self) -> None:
        """Run one empty image through the network, so that a wrong size fails at once.

        Raises:
            SetiError: the message has the nearest sizes that fit.
        """
        images = torch.zeros(1, *self.image_shape, device=next(self.parameters()).device)
        training = self.training
        try:
            with torch.inference_mode():
                self.eval()(images.contiguous(memory_format=torch.channels_last))
        except Exception as error:  # networks raise any kind
            raise size_error(self.name, self.image_shape, self.stem_stride, error) from error
        self.train(training)

    @property
    def head(self) -> nn.Module:
        """Last layer, which gives the logit."""
        head = self.network.get_classifier()
        if not isinstance(head, nn.Module) or not any(True for _ in head.parameters()):
            msg = (
                "model.freeze_backbone=true and model.head_epochs train only the head, but this model.backbone has no "
                "single head: set them to false and 0"
            )
            raise SetiError(msg)
        return head

    def freeze(self, frozen: bool) -> None:
        """Freeze everything but the head, or unfreeze it again.

        Raises:
            SetiError: the network has no single head.
        """
        for parameter_name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not frozen and parameter_name in self.trained)
        self.head.requires_grad_(True)
        self.frozen = frozen
        self.train()  # a Trainer does not change the mode of any module

    def train(self, mode: bool = True) -> "Backbone":
        """Switch the mode, keeping all but the head of a frozen backbone in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
            self.head.train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(B, C, H, W)` to logits `(B,)`."""
        return self.network(images).squeeze(1)


def _create(
    name: str,
    in_channels: int,
    image_size: tuple[int, int],
    pretrained: bool,
    weights: str | None,
    rates: dict[str, float],
) -> nn.Module:
    options = network_options(name, in_channels, image_size) | rates
    try:
        if weights is not None:
            if not Path(weights).is_file():
                msg = f"model.weights={weights} is not a file: give a weight file, or null to start without"
                msg += near_paths.hint("model.weights", Path(weights))
                raise SetiError(msg)
            if Path(weights).suffix != ".safetensors":
                _refuse_code(weights)
            generator_state = torch.get_rng_state()
            # An overlay, because `checkpoint_path=` would not adapt stem and head.
            overlay = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
            with _silent_loader():
                network = timm.create_model(name, **(options | overlay))
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(generator_state)
                _check_loaded(network, timm.create_model(name, **options))
            return network
        if pretrained:
            check_download(name)
        return timm.create_model(name, pretrained=pretrained, **options)
    except SetiError:
        raise
    except Exception as error:
        for argument in rates:
            if isinstance(error, TypeError) and argument in str(error):
                raise SettingsError(_no_drops(name, argument, rates[argument])) from error
        shape = (in_channels, *image_size)
        if "img_size" in options and min(shape) > 0 and not takes(builder(name, in_channels), shape):
            raise size_error(name, shape, None, error) from error
        if weights is not None:
            msg = (
                f"model.weights={weights} does not fit model.backbone={name}: {_why_unfit(weights, error)}; "
                "give a file for that network"
            )
        elif pretrained:
            msg = refusal(name, one_line(error))
        else:
            msg = f"model.backbone={name} cannot be built for {in_channels} channels of {image_size}: {one_line(error)}"
        raise SetiError(msg) from error


@contextmanager
def _silent_loader() -> Iterator[None]:
    """Leave out timm's line about a file that it reads."""
    loader = logging.getLogger("timm.models._builder")
    level = loader.level
    loader.setLevel(logging.WARNING)
    try:
        yield
    finally:
        loader.setLevel(level)


def _why_unfit(weights: str, error: Exception) -> str:
    """Reason of a weight file's refusal, in plain words where the file cannot be read at all."""
    if isinstance(error, SafetensorError):
        return "it is damaged, or not a safetensors file"
    if isinstance(error, EOFError) or "PytorchStreamReader" in str(error):
        return f"it is damaged, or not a {Path(weights).suffix} file of PyTorch"
    return one_line(error)


def _check_drops(network: nn.Module, name: str, rates: dict[str, float]) -> None:
    """Refuse drop rates without effect, because some networks accept the argument and ignore it."""
    modules = list(network.modules())
    reached = {
        "drop_rate": lambda rate: (
            getattr(network, "drop_rate", None) == rate
            or any(isinstance(module, nn.Dropout) and module.p == rate for module in modules)
        ),
        "drop_path_rate": lambda _: any(getattr(module, "drop_prob", None) for module in modules),
    }
    for argument, rate in rates.items():
        if rate and not reached[argument](rate):
            raise SettingsError(_no_drops(name, argument, rate))


def _no_drops(name: str, argument: str, rate: float) -> str:
    setting = argument.removesuffix("_rate") if argument == "drop_path_rate" else argument
    return f"model.{setting}={rate:g} has no effect on model.backbone={name}: set model.{setting}=null"


def _refuse_code(weights: str) -> None:
    """Check a pickled file before timm loads it, because some timm releases run the code in it.

    Raises:
        ValueError: the file contains more than numbers.
    """
    try:
        torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(explain_refusal(error)) from error


def _check_loaded(network: nn.Module, fresh: nn.Module) -> None:
    """Check that every tensor was loaded.

    timm silently skips tensors that the file lacks. A tensor still equal to that of a fresh network from the same seed
    was not loaded.

    Raises:
        ValueError: tensors are missing; the message gives their number and the first one's name.
    """
    heads = network.get_classifier()
    spared = {id(p) for head in (heads if isinstance(heads, tuple) else (heads,)) for p in head.parameters()}
    random = {name: value for name, value in fresh.named_parameters() if value.max() > value.min()}
    own = {name: value for name, value in network.named_parameters() if name in random and id(value) not in spared}
    left = [name for name, value in own.items() if torch.equal(value, random[name])]
    if left:
        msg = f"it lacks {len(left)} of {len(own)} tensors, the first one {left[0]}"
        raise ValueError(msg)
