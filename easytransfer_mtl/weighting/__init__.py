"""Losses, or the Gram matrix of the task gradients, to weights: small tensors only; knows no encoder and no Keras model."""

from easytransfer_mtl.weighting.base import Signals, TaskWeighting
from easytransfer_mtl.weighting.cagrad import CAGrad
from easytransfer_mtl.weighting.choice import METHODS, RunFacts, make_weighting
from easytransfer_mtl.weighting.dtp import DTP
from easytransfer_mtl.weighting.dwa import DWA
from easytransfer_mtl.weighting.equal import Equal
from easytransfer_mtl.weighting.famo import FAMO
from easytransfer_mtl.weighting.fixed import Fixed
from easytransfer_mtl.weighting.gradnorm import GradNorm
from easytransfer_mtl.weighting.imtl_g import IMTLG
from easytransfer_mtl.weighting.imtl_l import IMTLL
from easytransfer_mtl.weighting.mgda import MGDA
from easytransfer_mtl.weighting.nash import Nash
from easytransfer_mtl.weighting.pcgrad import PCGrad
from easytransfer_mtl.weighting.rlw import RLW
from easytransfer_mtl.weighting.uncertainty import Uncertainty
from easytransfer_mtl.weighting.upgrad import UPGrad

__all__ = [
    "CAGrad",
    "DTP",
    "DWA",
    "Equal",
    "FAMO",
    "Fixed",
    "GradNorm",
    "IMTLG",
    "IMTLL",
    "METHODS",
    "MGDA",
    "Nash",
    "PCGrad",
    "RLW",
    "RunFacts",
    "Signals",
    "TaskWeighting",
    "UPGrad",
    "Uncertainty",
    "make_weighting",
]
