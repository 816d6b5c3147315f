"""The public networks of `docs/support.md`, with random weights: how each is made, and what goes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from bench.accuracy.support_detection import detector

Shape = tuple[int, ...]
SMALL = 128
"""Side of the images, in pixels, of networks that take any."""
DETECTED = 192
"""Likewise for detectors, so that their smallest maps have more than one position."""

CLASSIFICATION = (
    "alexnet", "vgg11", "vgg11_bn", "squeezenet1_0", "squeezenet1_1", "resnet18", "resnet50", "resnext50_32x4d",
    "wide_resnet50_2", "densenet121", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_small",
    "mobilenet_v3_large", "mnasnet0_5", "mnasnet1_0", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "efficientnet_b0",
    "efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny", "swin_t", "swin_v2_t", "vit_b_16",
    "maxvit_t",
)  # fmt: skip
SEGMENTATION = (
    "fcn_resnet50", "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large",
)  # fmt: skip
DETECTION = (
    "fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2",
    "maskrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn", "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2",
    "fcos_resnet50_fpn", "ssd300_vgg16", "ssdlite320_mobilenet_v3_large",
)  # fmt: skip
VIDEO = {
    "r3d_18": (3, 8, 64, 64), "mc3_18": (3, 8, 64, 64), "r2plus1d_18": (3, 8, 64, 64), "s3d": (3, 16, 224, 224),
    "mvit_v1_b": (3, 16, 224, 224), "mvit_v2_s": (3, 16, 224, 224), "swin3d_t": (3, 8, 64, 64),
}  # fmt: skip
FLOW = (
    "raft_small", "raft_large",
)  # fmt: skip
OWN_SIZE = {
    "inception_v3": 299, "swin_t": 224, "swin_v2_t": 256, "vit_b_16": 224, "maxvit_t": 224, "googlenet": 224,
    "alexnet": 224,
}  # fmt: skip

TIMM = (
    "resnet18", "resnet18d", "resnet50", "resnet50_gn", "resnext50_32x4d", "resnext26ts", "res2net50_14w_8s",
    "res2net50_26w_4s", "resnest14d", "resnest26d", "regnetx_004", "regnety_004", "regnetz_005", "densenet121",
    "densenetblur121d", "dpn48b", "dpn68", "dpn68b", "vgg11", "vgg11_bn", "inception_v3", "inception_v4",
    "inception_resnet_v2", "inception_next_atto", "inception_next_tiny", "xception41", "xception41p",
    "legacy_xception", "mobilenetv1_100", "mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv3_large_100",
    "mobilenetv4_conv_small", "mobilenetv4_hybrid_medium", "efficientnet_b0", "efficientnet_b0_gn",
    "efficientnet_lite0", "efficientnetv2_rw_t", "tf_efficientnet_b0", "tf_efficientnetv2_b0",
    "tf_efficientnet_cc_b0_4e", "ghostnet_100", "ghostnetv2_100", "ghostnetv3_100", "mnasnet_100", "mnasnet_small",
    "mixnet_s", "tf_mixnet_s", "fbnetc_100", "fbnetv3_b", "spnasnet_100", "lcnet_050", "tinynet_e", "hardcorenas_a",
    "hrnet_w18_small", "hrnet_w18_small_v2", "dla34", "dla46_c", "dla46x_c", "dla60_res2net", "dla60_res2next",
    "cspresnet50", "cspresnext50", "cspdarknet53", "darknet17", "darknet53", "convnext_atto", "convnext_tiny",
    "convnext_atto_rms", "convnextv2_atto", "repvgg_a0", "repvgg_d2se", "nfnet_l0", "eca_nfnet_l0", "dm_nfnet_f0",
    "coatnet_nano_rw_224", "coatnet_nano_cc_224", "maxvit_pico_rw_256", "maxvit_tiny_tf_224",
    "maxxvit_rmlp_nano_rw_256", "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "swinv2_cr_tiny_224",
    "vit_tiny_patch16_224", "vit_small_patch32_224", "deit_tiny_patch16_224", "deit3_small_patch16_224",
    "eva02_tiny_patch14_224", "mixer_s32_224", "resmlp_12_224", "gmlp_ti16_224", "poolformer_s12",
    "poolformerv2_s12", "caformer_s18", "convformer_s18", "edgenext_xx_small", "edgenext_small", "fastvit_t8",
    "fastvit_sa12", "mobileone_s0", "mobileone_s1", "mobilevit_xxs", "mobilevitv2_050", "levit_128s",
    "levit_conv_128s", "selecsls42", "selecsls42b", "tresnet_m", "vovnet39a", "ese_vovnet19b_dw",
    "ese_vovnet19b_slim", "rexnet_100", "rexnetr_100", "skresnet18", "skresnet34", "skresnext50_32x4d", "senet154",
    "legacy_seresnet18", "seresnet18", "seresnext26d_32x4d", "ecaresnet26t", "ecaresnet50d", "gcresnext26ts",
    "bat_resnext26ts", "gernet_s", "botnet26t_256", "halonet26t", "lambda_resnet26t", "lambda_resnet26rpt_256",
    "repghostnet_050", "repghostnet_100", "repvit_m0_9", "starnet_s1", "starnet_s050", "focalnet_tiny_srf",
    "hgnet_tiny", "hgnetv2_b0", "efficientvit_b0", "efficientvit_m0", "efficientformer_l1", "efficientformerv2_s0",
    "crossvit_tiny_240", "cait_xxs24_224", "pit_ti_224", "convit_tiny", "twins_svt_small", "twins_pcpvt_small",
    "pvt_v2_b0", "davit_tiny", "visformer_tiny", "xcit_nano_12_p16_224", "volo_d1_224", "sequencer2d_s",
    "nest_tiny_jx", "coat_lite_tiny", "mvitv2_tiny", "gcvit_xxtiny", "tiny_vit_5m_224", "convmixer_768_32",
    "resnetv2_50", "resnetv2_50x1_bit", "resnetv2_50d_evos", "resnetv2_50d_frn", "swiftformer_xs", "nextvit_small",
    "shvit_s1", "rdnet_tiny", "mambaout_femto", "hiera_tiny_224",
    # tried last, once all of the above were done
    "fasternet_t0", "lcnetv2_small", "cspnext_tiny", "iformer_t", "cpubone_nano", "lowformer_b0", "efficientvim_m1",
    "csatv2", "sam2_hiera_tiny", "vit_relpos_small_patch16_224", "tnt_s_patch16_224", "vit_tiny_r_s16_p8_224",
    "vitamin_small_224", "beit_base_patch16_224", "nasnetalarge", "pnasnet5large", "mobilenetv5_300m",
)  # fmt: skip
"""Convolutional families of timm and their kin, each with one or two small members."""

DECODERS = (
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet",
    "Segformer",
)  # fmt: skip
ENCODERS = (
    "resnet18", "mobilenet_v2", "efficientnet-b0", "densenet121", "dpn68", "vgg11_bn",
    "xception", "inceptionv4", "mit_b0", "mobileone_s0", "se_resnet50", "timm-regnetx_002", "timm-res2net50_26w_4s",
    "tu-convnext_atto",
)  # fmt: skip
YOLO = (
    "yolov8n", "yolo11n", "yolov8n-cls", "yolov8n-seg", "yolov8n-pose", "yolo11n-seg", "yolov5n", "yolov9t",
    "yolov10n", "yolo12n",
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A network that is measured.

    Attributes:
        library: where it comes from.
        name: as that library has it.
        make: makes it, with random weights.
        shapes: of one item of each input, in the order in which they are tried; the first that it takes is used.
        count: inputs of that shape.
    """

    library: str
    name: str
    make: Callable[[], nn.Module]
    shapes: tuple[Shape, ...]
    count: int = 1

    @property
    def title(self) -> str:
        """Library and name."""
        return f"{self.library}/{self.name}"


class WithArguments(nn.Module):
    """A network that is called with further, fixed arguments.

    Args:
        model: the network.
        arguments: by name.
    """

    def __init__(self, model: nn.Module, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.arguments = model, arguments

    def forward(self, *images: Tensor) -> Any:
        """As the network's."""
        return self.model(*images, **self.arguments)


def networks() -> Iterator[Network]:
    """Every network whose library is installed."""
    yield from torchvision_networks()
    for library, found in (("timm", _timm), ("segmentation_models_pytorch", _smp), ("ultralytics", _ultralytics)):
        try:
            import_module(library)
        except ImportError as error:
            print(f"without {library}: {error}", flush=True)
        else:
            yield from found()


def torchvision_networks() -> Iterator[Network]:
    """Those of torchvision."""
    models = import_module("torchvision.models")

    def network(name: str, make: Callable[[], nn.Module], shape: Shape, count: int = 1) -> Network:
        return Network("torchvision", name, make, (shape,), count)

    bare = {"weights": None, "weights_backbone": None}
    for name in CLASSIFICATION:
        more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        size = OWN_SIZE.get(name, SMALL)
        yield network(name, partial(getattr(models, name), weights=None, **more), (3, size, size))
    for name in SEGMENTATION:
        more = {} if name.startswith("lraspp") else {"aux_loss": True}
        make = partial(getattr(models.segmentation, name), num_classes=21, **bare, **more)
        yield network(name, make, (3, SMALL, SMALL))
    for name in DETECTION:
        size = 300 if name.startswith("ssd300") else DETECTED
        yield network(name, partial(_detector, getattr(models.detection, name), size), (3, size, size))
    for name, shape in VIDEO.items():
        yield network(name, partial(getattr(models.video, name), weights=None), shape)
    for name in FLOW:
        yield network(name, partial(_flow, getattr(models.optical_flow, name)), (3, SMALL, SMALL), count=2)


def _detector(make: Callable[..., nn.Module], size: int) -> nn.Module:
    return detector(make(weights=None, weights_backbone=None), size)


def _flow(make: Callable[..., nn.Module]) -> nn.Module:
    return WithArguments(make(weights=None), {"num_flow_updates": 3})


def _timm() -> Iterator[Network]:
    timm = import_module("timm")
    for name in TIMM:
        own = timm.get_pretrained_cfg(name, allow_unregistered=True)
        shape = tuple(own.input_size) if own is not None else (3, 224, 224)
        small = () if own is not None and own.fixed_input_size else ((3, SMALL, SMALL),)
        shapes = tuple(dict.fromkeys([*small, shape]))
        yield Network("timm", name, partial(timm.create_model, name, pretrained=False), shapes)


def _smp() -> Iterator[Network]:
    smp = import_module("segmentation_models_pytorch")
    pairs = [(decoder, "resnet18") for decoder in DECODERS] + [("Unet", encoder) for encoder in ENCODERS[1:]]
    pairs += [("FPN", "efficientnet-b0"), ("DeepLabV3Plus", "mobilenet_v2"), ("DPT", "tu-vit_tiny_patch16_224")]
    for decoder, encoder in pairs:
        make = partial(getattr(smp, decoder), encoder, encoder_weights=None, classes=5)
        shapes = ((3, SMALL, SMALL), (3, 224, 224))
        yield Network("segmentation_models_pytorch", f"{decoder}({encoder})", make, shapes)


def _ultralytics() -> Iterator[Network]:
    tasks = import_module("ultralytics.nn.tasks")
    kinds = {"cls": "ClassificationModel", "seg": "SegmentationModel", "pose": "PoseModel", "": "DetectionModel"}
    for name in YOLO:
        make = partial(getattr(tasks, kinds[name.partition("-")[2]]), f"{name}.yaml", verbose=False)
        yield Network("ultralytics", name, make, ((3, SMALL, SMALL),))


def lively(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Give every branch of a network with random weights a part in the outputs.

    Norms and layer scales that start at zero or close to it would hide a branch; batch norms get the statistics of the
    inputs, so that activations neither vanish nor explode.
    """
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.is_floating_point():
                continue
            if parameter.dim() <= 1 or parameter.numel() == max(parameter.shape):
                ends = 0.1 if name.endswith(("bias", "beta")) else 0.5
                middle = 0.0 if name.endswith(("bias", "beta")) else 1.0
                parameter.copy_(middle + ends * (2 * torch.rand(parameter.shape, generator=generator) - 1))
            elif not parameter.any() or float(parameter.std()) < 1e-4:
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    try:
        with torch.no_grad():
            model(*inputs)
    except (ValueError, RuntimeError, AssertionError, TypeError, KeyError, AttributeError) as error:
        print(f"statistics stay as they are: {type(error).__name__}: {str(error)[:100]}", flush=True)
    model.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        if norm.running_var is not None:
            norm.running_var.add_(0.1 * norm.running_var.mean() + 1e-3)
